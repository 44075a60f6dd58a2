package syncthing_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestOlderCopyOfTheSameDiskIsNotBelieved(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1", "node-2")
	a, b := c.nodes["node-1"], c.nodes["node-2"]
	c.eventually("the share is there", func() bool { return exists(a.share(".stfolder")) && exists(b.share(".stfolder")) })
	b.stopDaemon()
	b.stored()
	rollBack := b.disk.Remember()
	b.startDaemon()
	fill(c, a, b)
	b.stopDaemon()
	b.disk.Unmount()
	rollBack()
	b.plugIn()
	c.eventually("everything comes back", func() bool { return holdsAll(b) })
	requireGood(t, a)
}

func TestBackupCopiedToANewDiskStaysBeside(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1", "node-2")
	a, b := c.nodes["node-1"], c.nodes["node-2"]
	fill(c, a, b)
	b.put("letter", "newer")
	c.eventually("both have it", func() bool { return a.has("letter", "newer") })
	a.stopDaemon()
	b.replaceDisk(nil)
	c.eventually("it only receives", func() bool { return b.folderField("type") == "receiveonly" && exists(b.share(".stfolder")) })
	b.put("letter", "a year old")
	lastYear := time.Now().AddDate(-1, 0, 0)
	require.NoError(t, os.Chtimes(b.share("letter"), lastYear, lastYear))
	require.NoError(t, b.tryPost("/rest/db/scan?folder=home-photos"))
	a.startDaemon()
	c.eventually("it sends again", func() bool { return b.folderField("type") == "sendreceive" })
	c.eventually("both have the newer, and the older beside it", func() bool {
		return a.has("letter", "newer") && b.has("letter", "newer") && anyHas(a, "letter.sync-conflict-", "a year old")
	})
}

func TestCopyOfARunningDiskIsNotBelieved(t *testing.T) {
	t.Parallel()
	for _, fileSystem := range []string{"ext4", "btrfs"} {
		t.Run(fileSystem, func(t *testing.T) {
			t.Parallel()
			c := startClusterOn(t, fileSystem, "node-1", "node-2")
			a, b := c.nodes["node-1"], c.nodes["node-2"]
			fill(c, a, b)
			c.exchange(b, a, "overwritten", "old")
			b.stored()
			rollBack := b.disk.Remember()
			c.exchange(b, a, "since", "the only one")
			c.exchange(a, b, "from node 1", "the only one")
			c.exchange(b, a, "overwritten", "new")
			b.swap(rollBack)
			c.eventually("everything comes back", func() bool {
				return b.has("since", "the only one") && b.has("from node 1", "the only one") && b.has("overwritten", "new") && holdsAll(b)
			})
			require.True(t, a.has("since", "the only one") && a.has("from node 1", "the only one") && a.has("overwritten", "new"))
			require.True(t, holdsAll(a))
		})
	}
}

func TestColdCopyOfAFullDiskIsNotBelieved(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1", "node-2")
	a, b := c.nodes["node-1"], c.nodes["node-2"]
	fill(c, a, b)
	b.disk.Fill()
	b.stopDaemon()
	b.stored()
	rollBack := b.disk.Remember()
	b.startDaemon()
	require.NoError(t, os.Remove(b.disk.In("filler")))
	c.exchange(b, a, "since", "the only one")
	b.swap(func() {
		rollBack()
		b.disk.Mount()
		require.NoError(t, os.Remove(b.disk.In("filler")))
		b.disk.Unmount()
	})
	c.eventually("everything comes back", func() bool { return b.has("since", "the only one") })
	require.True(t, a.has("since", "the only one"))
	requireGood(t, a)
}

func TestCopyFromBeforeAShareWasMade(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1", "node-2")
	a, b := c.nodes["node-1"], c.nodes["node-2"]
	fill(c, a, b)
	b.stopDaemon()
	b.stored()
	rollBack := b.disk.Remember()
	b.startDaemon()
	two := c.settings.Folders["photos"]
	two.ID = "home-two"
	c.settings.Folders["two"] = two
	c.publish()
	in := func(n *node) string { return n.disk.In("shares/two/x") }
	c.eventually("the share is there", func() bool { return exists(filepath.Dir(in(a))) && exists(filepath.Dir(in(b))) })
	write(t, in(a), "x")
	c.eventually("both have it", func() bool { return exists(in(b)) })
	b.swap(rollBack)
	c.eventually("it is there again", func() bool { return exists(in(b)) })
	require.True(t, exists(in(a)))
	requireGood(t, a)
}
