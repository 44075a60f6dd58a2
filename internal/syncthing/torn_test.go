package syncthing_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tmorin/homecloud/internal/disk"
)

// A disk that is torn away seconds after it was written has not stored it,
// but Syncthing's index knows it.
func TestTornDiskAnnouncesNothingThatItLost(t *testing.T) {
	t.Parallel()
	for _, fileSystem := range []string{"ext4", "xfs", "btrfs"} {
		t.Run(fileSystem, func(t *testing.T) {
			t.Parallel()
			c := startClusterOn(t, fileSystem, "node-1", "node-2")
			a, b := c.nodes["node-1"], c.nodes["node-2"]
			fill(c, a, b)
			b.put("overwritten", "before")
			b.put("renamed", "under its first name")
			b.put("deleted", "by a person")
			c.eventually("both have all", func() bool {
				return a.has("deleted", "by a person") && a.has("overwritten", "before") && a.has("renamed", "under its first name")
			})
			b.stored()
			rollBack := b.disk.Remember()

			require.NoError(t, os.Mkdir(b.share("new folder"), 0o770))
			b.put("new folder/new", "a new file")
			b.put("overwritten", "and after")
			require.NoError(t, os.Rename(b.share("renamed"), b.share("renamed again")))
			require.NoError(t, os.Remove(b.share("deleted")))
			after := func(n *node) bool {
				return n.has("new folder/new", "a new file") && n.has("overwritten", "and after") && n.has("renamed again", "under its first name")
			}
			c.eventually("node 1 has what was written last", func() bool { return after(a) && !exists(a.share("deleted")) })
			c.eventually("and node 2 knows it", func() bool { return b.completion(a) == 100 })

			b.tear(rollBack)
			c.eventually("node 2 has it again", func() bool { return after(b) })
			c.eventually("and sends again", func() bool { return b.folderField("type") == "sendreceive" })
			require.Contains(t, b.log.String(), "wasn't left in order")
			b.put("later", "goes on")
			c.eventually("as always", func() bool { return a.has("later", "goes on") })
			require.True(t, after(a), "nothing was lost on the good disk")
			require.True(t, holdsAll(a) && holdsAll(b))
			c.eventually("what lay on the disk stays beside it", func() bool { return anyHas(a, "overwritten.sync-conflict-", "before") })
		})
	}
}

// What lay in memory when the disk was torn away, as the file system leaves
// it: missing, or with a name and no content.
// A program that gives a file its size first leaves zeros under a size and a
// time that are right.
// What nobody else has must survive: written in the last moment, or after the
// disk came back and before the share may send again.
func TestTornDiskKeepsWhatOnlyItHas(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1", "node-2")
	a, b := c.nodes["node-1"], c.nodes["node-2"]
	fill(c, a, b)
	a.stopDaemon()
	require.NoError(t, b.daemon.Process.Kill()) // it learns nothing of what follows
	require.NoError(t, os.MkdirAll(b.share("last/empty"), 0o770))
	b.put("last/moment", "unknown to the index")
	b.put("file-00", "half of a new content")
	require.NoError(t, os.Symlink("last/moment", b.share("link")))
	b.pull(func() {})
	b.plugIn()
	c.eventually("it only receives", func() bool { return b.folderField("type") == "receiveonly" })
	b.put("file-01", "changed by somebody since")
	b.put("since", "new since")
	a.startDaemon()
	c.eventually("everything is on node 1", func() bool {
		return a.has("last/moment", "unknown to the index") && a.has("file-01", "changed by somebody since") && a.has("since", "new since") &&
			exists(a.share("last/empty")) && anyHas(a, "file-00.sync-conflict-", "half of a new content") && exists(a.share("link"))
	})
	require.True(t, a.has("file-00", "content of file-00"))
	c.eventually("and on node 2", func() bool {
		return b.has("file-00", "content of file-00") && b.has("file-01", "changed by somebody since") && b.has("last/moment", "unknown to the index")
	})
	require.False(t, exists(b.share(".stfolder/aside")))
}

// Nobody else has the lost files, or is there to tell.
func TestTornDiskOfASingleBoardWaitsForNobody(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1")
	a := c.nodes["node-1"]
	c.eventually("the share is there", func() bool { return a.folderField("type") == "sendreceive" && exists(a.share(".stfolder")) })
	a.stored()
	rollBack := a.disk.Remember()
	a.put("lost", "x")
	c.eventually("the index knows it", func() bool { return a.localFiles() == 1 })
	a.tear(rollBack)
	a.waitLog("sends again")
	c.eventually("it sends", func() bool { return a.folderField("type") == "sendreceive" })
	a.put("later", "goes on")
	c.eventually("and goes on", func() bool { return a.localFiles() == 1 })
}

// A board that stays alone goes on with what it last heard, at once.
func TestTornDiskNeedsNobodyToBeSettled(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1", "node-2")
	a, b := c.nodes["node-1"], c.nodes["node-2"]
	fill(c, a, b)
	b.stored()
	rollBack := b.disk.Remember()
	c.exchange(b, a, "lost", "here, not there")
	a.stopDaemon()
	b.tear(rollBack)
	c.eventually("it sends again", func() bool { return b.folderField("type") == "sendreceive" })
	a.startDaemon()
	c.eventually("what was lost comes back late", func() bool { return b.has("lost", "here, not there") })
	requireGood(t, a)
	require.True(t, a.has("lost", "here, not there"))
}

// A house without power: both disks lack something that the other has.
func TestBothDisksTorn(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1", "node-2")
	a, b := c.nodes["node-1"], c.nodes["node-2"]
	fill(c, a, b)
	a.put("from-1", "one")
	b.put("from-2", "two")
	c.eventually("exchanged", func() bool { return a.has("from-2", "two") && b.has("from-1", "one") })
	c.eventually("and known", func() bool { return a.completion(b) == 100 && b.completion(a) == 100 })
	// Each has stored what came from the other, and lost its own.
	a.pull(func() {})
	b.pull(func() {})
	a.disk.Mount()
	b.disk.Mount()
	require.NoError(t, os.Remove(a.share("from-1")))
	require.NoError(t, os.Remove(b.share("from-2")))
	a.startDaemon()
	b.startDaemon()
	c.eventually("both have both", func() bool {
		return a.has("from-1", "one") && a.has("from-2", "two") && b.has("from-1", "one") && b.has("from-2", "two")
	})
	c.eventually("both send", func() bool {
		return a.folderField("type") == "sendreceive" && b.folderField("type") == "sendreceive"
	})
	require.True(t, holdsAll(a) && holdsAll(b))
}

// Torn away again in the middle of settling, at every place.
func TestSettlingGoesOnWhereItWasInterrupted(t *testing.T) {
	for _, place := range []string{"set aside", "reverted"} {
		t.Run(place, func(t *testing.T) {
			c := startCluster(t, "node-1", "node-2")
			a, b := c.nodes["node-1"], c.nodes["node-2"]
			fill(c, a, b)
			b.stored()
			rollBack := b.disk.Remember()
			c.exchange(b, a, "lost", "on one disk")
			b.pull(rollBack)
			b.disk.Mount()
			b.put("only here", "precious")
			b.interrupt.Store(place)
			b.startDaemon()
			c.eventually("interrupted", b.reached.Load)
			if place == "set aside" { // after the revert, the next pass only has to put back
				require.False(t, exists(b.share("only here")), "it is set aside")
			}
			b.interrupt.Store("")
			b.tear(func() {})
			c.eventually("everything is on both", func() bool {
				return a.has("only here", "precious") && b.has("only here", "precious") && a.has("lost", "on one disk") && b.has("lost", "on one disk")
			})
			c.eventually("it sends again", func() bool { return b.folderField("type") == "sendreceive" })
			require.True(t, holdsAll(a) && holdsAll(b))
		})
	}
}

// A pod that starts anew leaves the disk in order: what happened on the disk
// meanwhile are changes that somebody wanted.
func TestSyncthingThatEndedInOrderBelievesTheDisk(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1", "node-2")
	a, b := c.nodes["node-1"], c.nodes["node-2"]
	fill(c, a, b)
	b.log.Reset()
	b.stopDaemon()
	require.NoError(t, os.Remove(b.share("file-00")))
	b.put("file-01", "changed meanwhile")
	old := time.Now().Add(-time.Hour)
	require.NoError(t, os.Chtimes(b.share("file-01"), old, old))
	b.startDaemon()
	c.eventually("node 1 follows", func() bool { return !exists(a.share("file-00")) && a.has("file-01", "changed meanwhile") })
	require.NotContains(t, b.log.String(), "left in order")
}

// A disk that was brought back to an earlier state while Syncthing was down,
// by an old copy for instance.
func TestFullDiskBeginsASession(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1", "node-2")
	a, b := c.nodes["node-1"], c.nodes["node-2"]
	fill(c, a, b)
	b.stopDaemon()
	b.disk.Fill()
	b.startDaemon()
	b.stopDaemon()
	b.startDaemon()
	require.NoError(t, os.Remove(b.disk.In("filler")))
	b.put("new", "when there is room again")
	c.eventually("it goes on", func() bool { return a.has("new", "when there is room again") })
	requireGood(t, a)
}

// A file's own time is what a client has set: it tells nothing.
func TestTimeInTheFutureDoesNotRollBack(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1", "node-2")
	a, b := c.nodes["node-1"], c.nodes["node-2"]
	fill(c, a, b)
	b.put("future", "older")
	future := time.Now().Add(24 * 365 * time.Hour)
	require.NoError(t, os.Chtimes(b.share("future"), future, future))
	c.eventually("both have it", func() bool { return a.has("future", "older") })
	b.stored()
	rollBack := b.disk.Remember()
	b.put("future", "newer")
	require.NoError(t, os.Chtimes(b.share("future"), future.Add(-time.Hour), future.Add(-time.Hour)))
	c.eventually("both have the newer", func() bool { return a.has("future", "newer") })
	c.eventually("and know it", func() bool { return b.completion(a) == 100 })
	b.tear(rollBack)
	c.eventually("it comes back", func() bool { return b.has("future", "newer") })
	c.eventually("the older one stays beside it", func() bool { return anyHas(a, "future.sync-conflict-", "older") })
	require.True(t, a.has("future", "newer"))
}

// Somebody begins to write before the share is settled: what is still empty
// then is a file like any other.
func TestFileThatIsBeingWrittenIsNotTakenForLost(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1", "node-2")
	a, b := c.nodes["node-1"], c.nodes["node-2"]
	fill(c, a, b)
	a.stopDaemon()
	b.tear(func() {})
	c.eventually("it only receives", func() bool { return b.folderField("type") == "receiveonly" })
	slow, err := os.Create(b.share("file-00")) // as an SMB client begins to overwrite
	require.NoError(t, err)
	defer slow.Close()
	require.NoError(t, b.tryPost("/rest/db/scan?folder=home-photos"))
	a.startDaemon()
	c.eventually("it sends again", func() bool { return b.folderField("type") == "sendreceive" })
	_, err = slow.WriteString("written slowly")
	require.NoError(t, err)
	require.NoError(t, slow.Close())
	c.eventually("it is the newest", func() bool { return b.has("file-00", "written slowly") && a.has("file-00", "written slowly") })
}

func TestLongNameKeepsNobodyElseAside(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1", "node-2")
	a, b := c.nodes["node-1"], c.nodes["node-2"]
	fill(c, a, b)
	long := "v." + strings.Repeat("x", 225)
	b.put(long, "older")
	c.eventually("both have it", func() bool { return a.has(long, "older") })
	b.stored()
	rollBack := b.disk.Remember()
	c.exchange(b, a, long, "newer")
	b.pull(rollBack)
	b.disk.Mount()
	b.put("zzz", "only here")
	b.startDaemon()
	c.eventually("all is settled", func() bool { return b.has(long, "newer") && a.has("zzz", "only here") })
	c.eventually("what it had stays beside", func() bool { return anyHas(b, "v.xxx", "older") })
}

func TestNameThatBecameAFolderWhileItWasAside(t *testing.T) {
	c := startCluster(t, "node-1", "node-2")
	a, b := c.nodes["node-1"], c.nodes["node-2"]
	fill(c, a, b)
	b.pull(func() {})
	b.disk.Mount()
	b.put("only", "a file")
	require.NoError(t, os.Remove(b.share("file-00"))) // something to revert
	b.interrupt.Store("set aside")
	b.startDaemon()
	c.eventually("interrupted", b.reached.Load)
	require.NoError(t, os.Mkdir(b.share("only"), 0o770))
	b.put("only/inner", "a folder")
	b.interrupt.Store("")
	b.tear(func() {})
	c.eventually("both are kept", func() bool { return a.has("only/inner", "a folder") && anyHas(a, "only.sync-conflict-", "a file") })
	c.eventually("it sends again", func() bool { return b.folderField("type") == "sendreceive" })
}

// The folder is what lies on the disk, the file what everybody has.
func TestFileInPlaceOfAFolderKeepsItsName(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1", "node-2")
	a, b := c.nodes["node-1"], c.nodes["node-2"]
	fill(c, a, b)
	require.NoError(t, os.MkdirAll(b.share("x/sub"), 0o770))
	b.put("x/sub/inner", "inner")
	c.eventually("both have the folder", func() bool { return a.has("x/sub/inner", "inner") })
	b.stored()
	rollBack := b.disk.Remember()
	require.NoError(t, os.RemoveAll(b.share("x")))
	c.exchange(b, a, "x", "a file now")
	b.tear(rollBack)
	c.eventually("it is a file again", func() bool { return b.has("x", "a file now") })
	require.True(t, a.has("x", "a file now"))
	c.eventually("the folder stays beside it", func() bool {
		inner, err := filepath.Glob(a.share("x.sync-conflict-*/sub/inner"))
		return err == nil && len(inner) == 1
	})
}

// Whoever could tell is away for long.
// The disk was there all the time: what happened meanwhile are wishes.
func TestKilledGateLosesNothingAndUndoesNothing(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1", "node-2")
	a, b := c.nodes["node-1"], c.nodes["node-2"]
	fill(c, a, b)
	b.log.Reset()
	b.killGate()
	require.NoError(t, os.Remove(b.share("file-00")))
	b.put("file-01", "changed meanwhile")
	b.startDaemon()
	c.eventually("node 1 follows", func() bool { return !exists(a.share("file-00")) && a.has("file-01", "changed meanwhile") })
	require.NotContains(t, b.log.String(), "left in order")
	require.False(t, anyHas(b, "file-01.sync-conflict-", ""))
}

// A first scan that fails leaves a folder that seems to differ in nothing.
func TestFirstScanThatFailsProvesNothing(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1", "node-2")
	a, b := c.nodes["node-1"], c.nodes["node-2"]
	fill(c, a, b)
	b.stored()
	rollBack := b.disk.Remember()
	c.exchange(b, a, "lost", "on node 1 only")
	b.pull(rollBack)
	b.disk.Mount()
	marker := b.folderMarker()
	require.NoError(t, os.Rename(marker, marker+".away"))
	b.startDaemon()
	b.waitLog("has vanished from the disk")
	require.NoError(t, os.Rename(marker+".away", marker))
	a.put("unrelated", "makes node 2's Syncthing look again")
	c.eventually("what was lost comes back", func() bool { return b.has("lost", "on node 1 only") })
	c.eventually("it sends again", func() bool { return b.folderField("type") == "sendreceive" })
	require.True(t, a.has("lost", "on node 1 only"))
	requireGood(t, a)
}

func (n *node) folderMarker() string {
	n.t.Helper()
	sentinel, err := disk.Show(n.disk.Path())
	require.NoError(n.t, err)
	return n.share(".stfolder/" + sentinel.Generation)
}

// A backup that links every file changes their inodes' time: nobody has written
// them.
func TestLinkedFilesAreNoNewerVersions(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1", "node-2")
	a, b := c.nodes["node-1"], c.nodes["node-2"]
	fill(c, a, b)
	b.put("letter", "older")
	c.eventually("both have it", func() bool { return a.has("letter", "older") })
	b.stored()
	rollBack := b.disk.Remember()
	c.exchange(b, a, "letter", "newer")
	b.pull(rollBack)
	b.disk.Mount()
	require.NoError(t, os.Link(b.share("letter"), b.disk.In("backup-of-letter")))
	require.NoError(t, os.Link(b.share("letter"), b.share("second name")))
	b.startDaemon()
	c.eventually("the newer comes back", func() bool { return b.has("letter", "newer") })
	c.eventually("it sends again", func() bool { return b.folderField("type") == "sendreceive" })
	c.eventually("its second name goes to node 1", func() bool { return a.has("second name", "older") })
	require.True(t, a.has("letter", "newer"))
}

// What a person brings from a backup is older than what the others have.
// exchange puts a file on one node and waits until another one has it, and the
// first knows that.
// completion is how much of the share n knows the other to have.
// stored makes the disk store everything.
// A copy of the disk that was made while the board ran, put in after an orderly
// end.
// A full disk can't take a session's name, and a copy of it bears the same.
// swap ends Syncthing in order and puts another disk in.
// Whatever a link leads to is not looked at.
func TestLinkThatBecameAFileKeepsNothingFromBeingSettled(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"nowhere", ".", "file-00"} {
		t.Run("to "+target, func(t *testing.T) {
			t.Parallel()
			c := startCluster(t, "node-1", "node-2")
			a, b := c.nodes["node-1"], c.nodes["node-2"]
			fill(c, a, b)
			require.NoError(t, os.Symlink(target, b.share("latest")))
			c.eventually("both have it", func() bool { return exists(a.share("latest")) })
			b.stored()
			rollBack := b.disk.Remember()
			require.NoError(t, os.Remove(b.share("latest")))
			c.exchange(b, a, "latest", "a file now")
			b.tear(rollBack)
			c.eventually("it is a file again", func() bool { return b.has("latest", "a file now") })
			b.put("later", "goes on")
			c.eventually("and goes on", func() bool { return a.has("later", "goes on") })
			require.True(t, a.has("latest", "a file now"))
			c.eventually("nothing is left aside", func() bool { return !exists(b.share(".stfolder/aside")) })
		})
	}
}

// A camera that uploads all the time.
func TestBusyOtherBoardKeepsNothingFromBeingSettled(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1", "node-2")
	a, b := c.nodes["node-1"], c.nodes["node-2"]
	fill(c, a, b)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
				_ = os.WriteFile(a.share(fmt.Sprintf("camera-%04d", i)), []byte("photo"), 0o660)
			}
		}
	}()
	b.tear(func() {})
	b.put("saved", "while the camera uploads")
	c.eventually("it sends", func() bool { return a.has("saved", "while the camera uploads") })
	close(stop)
	<-stopped
}

// Both boards are torn and come back at different times, in different forms: what
// one of them has whole stays.
func TestBothDisksTornAtDifferentSpeeds(t *testing.T) {
	t.Parallel()
	photo := strings.Repeat("a photo. ", 20_000)
	for name, lose := range map[string]func(path string) error{
		"missing": os.Remove,
		"empty":   func(path string) error { return os.Truncate(path, 0) },
	} {
		for _, late := range []string{"node-1", "node-2"} {
			t.Run(name+", "+late+" is late", func(t *testing.T) {
				t.Parallel()
				c := startCluster(t, "node-1", "node-2")
				a, b := c.nodes["node-1"], c.nodes["node-2"]
				fill(c, a, b)
				c.exchange(a, b, "photo", photo)
				c.exchange(b, a, "other", "1")
				for _, n := range []*node{a, b} {
					require.NoError(t, n.daemon.Process.Kill()) // it learns nothing of what follows
				}
				require.NoError(t, lose(a.share("photo")))
				require.NoError(t, os.Chtimes(b.share("photo"), time.Now(), time.Now().Add(-time.Second))) // as btrfs leaves it
				b.put("other", "half")
				for _, n := range []*node{a, b} {
					n.pull(func() {})
					n.disk.Mount()
				}
				c.nodes[late].reconciler()
				a.startDaemon()
				b.startDaemon()
				for _, n := range c.nodes {
					if n.name != late {
						c.eventually(n.name+" sends", func() bool { return n.folderField("type") == "sendreceive" })
					}
				}
				c.nodes[late].startReconciler()
				c.eventually("both have it", func() bool { return a.has("photo", photo) && b.has("photo", photo) })
				c.eventually("both send", func() bool {
					return a.folderField("type") == "sendreceive" && b.folderField("type") == "sendreceive" &&
						!exists(a.share(".stfolder/aside")) && !exists(b.share(".stfolder/aside"))
				})
				c.eventually("and are at rest", func() bool { return a.completion(b) == 100 && b.completion(a) == 100 })
				require.True(t, a.has("photo", photo) && b.has("photo", photo) && holdsAll(a) && holdsAll(b))
			})
		}
	}
}

// A pass that fails after a damaged file was set aside must not forget it.
// A power cut while a new disk is filled.
func TestDiskTornWhileItReceives(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1", "node-2")
	a, b := c.nodes["node-1"], c.nodes["node-2"]
	fill(c, a, b)
	a.stopDaemon()
	b.replaceDisk(nil)
	c.eventually("it only receives", func() bool { return b.folderField("type") == "receiveonly" && exists(b.share(".stfolder")) })
	b.tear(func() {})
	b.put("own", "new here")
	a.startDaemon()
	c.eventually("everything comes", func() bool { return holdsAll(b) })
	c.eventually("and goes", func() bool { return a.has("own", "new here") })
	requireGood(t, a)
}

// A share that can't be settled keeps no other from it.
func TestBrokenShareOfATornDiskKeepsNoOtherBack(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1", "node-2")
	a, b := c.nodes["node-1"], c.nodes["node-2"]
	fill(c, a, b)
	two := c.settings.Folders["photos"]
	two.ID = "home-two"
	c.settings.Folders["two"] = two
	c.publish()
	in := func(n *node, name string) string { return n.disk.In("shares/two/" + name) }
	c.eventually("the share is there", func() bool { return exists(in(a, ".stfolder")) && exists(in(b, ".stfolder")) })
	write(t, in(a, "x"), "x")
	c.eventually("both have it", func() bool { return exists(in(b, "x")) })
	b.pull(func() {})
	b.disk.Mount()
	require.NoError(t, os.Rename(in(b, ".stfolder"), in(b, "away")))
	require.NoError(t, os.Remove(in(b, "x")))
	b.startDaemon()
	b.put("photo", "goes on")
	c.eventually("photos goes on", func() bool { return a.has("photo", "goes on") })
	b.waitLog("is paused until it can")
	require.NoError(t, os.Rename(in(b, "away"), in(b, ".stfolder")))
	write(t, in(b, "y"), "y")
	c.eventually("the other is taken up again", func() bool { return exists(in(a, "y")) })
	c.eventually("and what it lacked is fetched", func() bool { return exists(in(b, "x")) })
	require.True(t, exists(in(a, "x")))
	requireGood(t, a)
}

// Syncthing doesn't tell where a link leads: two of them aren't taken for equal.
func TestLinkThatLeadsElsewhereStays(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1", "node-2")
	a, b := c.nodes["node-1"], c.nodes["node-2"]
	fill(c, a, b)
	require.NoError(t, os.Symlink("file-00", b.share("latest")))
	require.NoError(t, os.Symlink("file-00", b.share("first")))
	c.eventually("both have them", func() bool { return exists(a.share("latest")) && exists(a.share("first")) })
	b.pull(func() {})
	b.disk.Mount()
	for name, to := range map[string]string{"latest": "file-19", "first": "file-00"} {
		require.NoError(t, os.Remove(b.share(name)))
		require.NoError(t, os.Symlink(to, b.share(name)))
	}
	b.startDaemon()
	c.atRest(a, b)
	leads := func(n *node, pattern string) (to []string) {
		links, _ := filepath.Glob(n.share(pattern))
		for _, link := range links {
			target, _ := os.Readlink(link)
			to = append(to, target)
		}
		return to
	}
	for _, n := range []*node{a, b} {
		c.eventually("both targets are on "+n.name, func() bool {
			to := leads(n, "latest*")
			return len(to) == 2 && slices.Contains(to, "file-00") && slices.Contains(to, "file-19")
		})
		require.Equal(t, []string{"file-00"}, leads(n, "first*"), "what is the same needs no copy")
	}
}
