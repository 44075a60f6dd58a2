package syncthing_test

import (
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tmorin/homecloud/internal/disk/disktest"
)

// withSystemDisk puts what Syncthing and we remember on a disk of its own, which
// loses as much with the power as the data disk does.
func (n *node) withSystemDisk(fileSystem string) *disktest.Disk {
	n.t.Helper()
	system := disktest.New(n.t, fileSystem)
	n.home = system.In("home")
	require.NoError(n.t, os.MkdirAll(n.home, 0o700))
	return system
}

// cutPower takes both disks away as the kernel has stored them. start gives them
// to the board that was started anew.
func (n *node) cutPower(system *disktest.Disk) (start func()) {
	n.t.Helper()
	ofSystem, ofData := system.Remember(), n.disk.Remember()
	n.reconciler()
	if n.daemon != nil { // it may have ended before
		n.killGate()
		require.NoError(n.t, n.endSession(false))
	}
	n.session = nil
	n.disk.Unmount()
	system.Unmount()
	ofSystem()
	ofData()
	n.disk.Mount()
	return func() {
		system.Mount()
		n.boot = rand.Text()
		n.startDaemon()
		n.startReconciler()
	}
}

// settled is everything stored and told.
func (c *cluster) settled(system *disktest.Disk, a, b *node) {
	c.t.Helper()
	c.atRest(a, b)
	system.Sync()
	a.stored()
	b.stored()
}

func startWithSystemDisk(t *testing.T, fileSystem string, versionsDays int) (c *cluster, a, b *node, system *disktest.Disk) {
	t.Helper()
	c = newClusterOn(t, fileSystem, "node-1", "node-2")
	c.keepVersions(versionsDays)
	a, b = c.nodes["node-1"], c.nodes["node-2"]
	system = b.withSystemDisk("xfs")
	a.start()
	b.start()
	fill(c, a, b)
	c.settled(system, a, b)
	return c, a, b, system
}

// Syncthing leaves its index to the kernel to store: a board that loses power
// has forgotten what it had told the others, and ext4 has names without content.
func TestPowerCutLosesTheIndexToo(t *testing.T) {
	t.Parallel()
	for _, fileSystem := range []string{"ext4", "btrfs", "xfs"} {
		t.Run(fileSystem, func(t *testing.T) {
			t.Parallel()
			c, a, b, system := startWithSystemDisk(t, fileSystem, 0)
			photo := func(i int) string { return fmt.Sprint("photo ", i, strings.Repeat(" of the family", 2000)) }
			name := func(i int) string { return fmt.Sprintf("photo-%02d", i) }
			all := func(n *node) bool {
				for i := range 30 {
					if !n.has(name(i), photo(i)) {
						return false
					}
				}
				return true
			}
			for i := range 30 {
				b.put(name(i), photo(i))
			}
			c.eventually("the other board has the photos", func() bool { return all(a) && b.completion(a) == 100 })
			powerOn := b.cutPower(system)
			// The kernel commits names after 5 s and content after 30 s. Here, the names.
			for i := range 30 {
				b.put(name(i), "")
			}
			powerOn()
			c.eventually("the photos come back", func() bool { return all(b) })
			c.atRest(a, b)
			require.True(t, all(a), "nothing was lost on the good board")
			require.True(t, holdsAll(a) && holdsAll(b))
		})
	}
}

// What was stored is older than what the other board has, and unknown to the
// index.
func TestPowerCutRollsNothingBack(t *testing.T) {
	t.Parallel()
	c, a, b, system := startWithSystemDisk(t, "ext4", 0)
	c.exchange(b, a, "doc", "v1")
	storeFile(t, b.share("doc"))
	c.exchange(b, a, "doc", "v2 the newest")
	for i := range 3 { // something else that the index knew
		c.exchange(b, a, "temporary", fmt.Sprint(i))
	}
	powerOn := b.cutPower(system)
	require.True(t, b.has("doc", "v1"), "the disk had stored it")
	powerOn()
	c.atRest(a, b)
	c.eventually("the newest stays", func() bool { return a.has("doc", "v2 the newest") && b.has("doc", "v2 the newest") })
	require.True(t, holdsAll(a) && holdsAll(b))
}

// The numbers that Syncthing counts changes with fall back with the index.
func TestPowerCutKeepsNothingFromBeingSent(t *testing.T) {
	t.Parallel()
	c, a, b, system := startWithSystemDisk(t, "ext4", 90)
	for i := range 40 {
		b.put(fmt.Sprint("told ", i), "told")
	}
	c.eventually("it is told", func() bool { return a.has("told 39", "told") && b.completion(a) == 100 })
	a.stopDaemon()
	powerOn := b.cutPower(system)
	powerOn()
	c.eventually("it watches", func() bool { return b.folderField("fsWatcherEnabled") == true && b.folderField("paused") == false })
	for i := range 40 { // as many changes as were forgotten
		b.put(fmt.Sprint("alone ", i), "only here")
	}
	c.eventually("they are seen", func() bool { return b.localFiles() >= 60 })
	a.startDaemon()
	c.atRest(a, b)
	c.eventually("everything arrives", func() bool {
		for i := range 40 {
			if !b.has(fmt.Sprint("told ", i), "told") {
				return false
			}
			if !a.has(fmt.Sprint("alone ", i), "only here") || !b.has(fmt.Sprint("alone ", i), "only here") {
				return false
			}
		}
		return true
	})
}

// The board that has the photos is away when the power comes back, and the one
// that was away is there.
func TestPowerCutBesideABoardThatWasAway(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "node-1", "node-2", "node-3")
	a, b, has := c.nodes["node-1"], c.nodes["node-2"], c.nodes["node-3"]
	system := b.withSystemDisk("xfs")
	for _, n := range c.nodes {
		n.start()
	}
	fill(c, a, b)
	c.eventually("the third has all", func() bool { return holdsAll(has) })
	c.settled(system, a, b)
	a.stopDaemon()
	b.put("photo", "of the family")
	c.eventually("the third has the photo", func() bool { return has.has("photo", "of the family") && b.completion(has) == 100 })
	powerOn := b.cutPower(system)
	has.stopDaemon()
	b.put("photo", "")
	a.startDaemon()
	powerOn()
	b.waitLog("node-3 may have something newer, and is waited for")
	require.False(t, exists(a.share("photo")))
	has.startDaemon()
	c.atRest(b, has)
	c.atRest(a, b)
	for _, n := range c.nodes {
		c.eventually("the photo is everywhere", func() bool { return n.has("photo", "of the family") })
	}
}

// The house loses power.
func TestPowerCutOfBothBoards(t *testing.T) {
	t.Parallel()
	c, a, b, system := startWithSystemDisk(t, "ext4", 0)
	c.exchange(b, a, "doc", "v1")
	c.settled(system, a, b)
	c.exchange(b, a, "doc", "v2")
	a.stored()
	b.stored()
	c.exchange(a, b, "photo", "the newest")
	ofA := a.disk.Remember()
	a.reconciler()
	a.killGate()
	require.NoError(t, a.endSession(false))
	a.disk.Unmount()
	ofA()
	powerOn := b.cutPower(system)
	b.put("photo", "")
	b.put("torn", "") // nobody has more of it
	powerOn()
	a.boot = rand.Text()
	a.disk.Mount()
	a.startDaemon()
	a.startReconciler()
	c.atRest(a, b)
	c.eventually("what is stored anywhere is on both", func() bool { return a.has("doc", "v2") && b.has("doc", "v2") })
	require.False(t, exists(a.share("torn")) || exists(b.share("torn")), "an empty remnant is not sent")
	require.True(t, holdsAll(a) && holdsAll(b))
}

// Syncthing ends in order, and the power goes in the same moment.
func TestPowerCutAfterTheEnd(t *testing.T) {
	t.Parallel()
	c, a, b, system := startWithSystemDisk(t, "ext4", 90)
	for i := range 20 {
		c.exchange(b, a, fmt.Sprint("told ", i), "told")
	}
	before := b.version("told 19")
	b.stopDaemon()
	b.endSession, b.daemon = nil, nil
	b.cutPower(system)()
	c.atRest(a, b)
	for i := range 20 {
		require.True(t, a.has(fmt.Sprint("told ", i), "told") && b.has(fmt.Sprint("told ", i), "told"))
	}
	require.Equal(t, before, b.version("told 19"), "the index was stored, too")
	require.NotContains(t, b.log.String(), "wasn't left in order")
}

// The index is months older than the disk then.
func TestSystemDiskFromAnOldImage(t *testing.T) {
	t.Parallel()
	c, a, b, system := startWithSystemDisk(t, "ext4", 90)
	c.exchange(b, a, "doc", "v1")
	c.settled(system, a, b)
	image := system.Remember()
	for i := range 40 {
		b.put(fmt.Sprint("told ", i), "told")
	}
	c.exchange(a, b, "doc", "v2 the newest")
	c.eventually("it is told", func() bool { return a.has("told 39", "told") && b.completion(a) == 100 })
	b.stopDaemon()
	b.reconciler()
	b.session = nil
	system.Unmount()
	image()
	system.Mount()
	b.boot = rand.Text()
	b.startDaemon()
	b.startReconciler()
	c.eventually("it watches", func() bool { return b.folderField("fsWatcherEnabled") == true && b.folderField("paused") == false })
	for i := range 40 {
		b.put(fmt.Sprint("later ", i), "goes on")
	}
	c.atRest(a, b)
	c.eventually("everything is on both", func() bool {
		for i := range 40 {
			for _, n := range []*node{a, b} {
				if !n.has(fmt.Sprint("told ", i), "told") || !n.has(fmt.Sprint("later ", i), "goes on") {
					return false
				}
			}
		}
		return a.has("doc", "v2 the newest") && b.has("doc", "v2 the newest")
	})
	require.True(t, holdsAll(a) && holdsAll(b))
}

// version is what Syncthing's index knows of a file's changes.
func (n *node) version(name string) []string {
	n.t.Helper()
	var known struct{ Local struct{ Version []string } }
	n.rest("/rest/db/file?folder=home-photos&file="+url.QueryEscape(name), &known)
	require.NotEmpty(n.t, known.Local.Version)
	return known.Local.Version
}
