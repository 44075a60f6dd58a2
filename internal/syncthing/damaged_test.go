package syncthing_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDiskWithoutWhatLayInMemory(t *testing.T) {
	t.Parallel()
	for _, fileSystem := range []string{"ext4", "xfs", "btrfs"} {
		t.Run(fileSystem, func(t *testing.T) {
			t.Parallel()
			c := startClusterOn(t, fileSystem, "node-1", "node-2")
			a, b := c.nodes["node-1"], c.nodes["node-2"]
			c.eventually("the share is there", func() bool { return exists(a.share(".stfolder")) && exists(b.share(".stfolder")) })
			b.stored()
			for _, name := range fileNames() {
				b.put(name, "content of "+name)
			}
			c.eventually("node 1 has everything", func() bool { return holdsAll(a) })
			// Storing one file stores the names of the others, on ext4 and xfs.
			storeFile(t, b.share("file-00"))
			rollBack := b.disk.Remember()
			b.tear(rollBack)
			c.eventually("node 2 has everything again", func() bool { return holdsAll(b) })
			c.eventually("and sends again", func() bool { return b.folderField("type") == "sendreceive" })
			b.put("later", "goes on")
			c.eventually("as always", func() bool { return a.has("later", "goes on") })
			require.True(t, holdsAll(a))
			require.False(t, anyHas(a, "file-00.sync-conflict", ""))
			require.False(t, exists(a.share(".stversions")), "nothing was deleted or replaced on node 1")
		})
	}
}

func TestZerosUnderTheRightSizeAreNotBelieved(t *testing.T) {
	t.Parallel()
	for _, fileSystem := range []string{"ext4", "btrfs"} { // btrfs knows by its checksums
		t.Run(fileSystem, func(t *testing.T) {
			t.Parallel()
			c := startClusterOn(t, fileSystem, "node-1", "node-2")
			a, b := c.nodes["node-1"], c.nodes["node-2"]
			c.eventually("the share is there", func() bool { return exists(a.share(".stfolder")) && exists(b.share(".stfolder")) })
			photo := strings.Repeat("a photo that was written at the last moment. ", 2000)
			b.put("photo", photo)
			b.put("other", "untouched")
			c.eventually("node 1 has it", func() bool { return a.has("photo", photo) && a.has("other", "untouched") })
			b.stored()
			b.tear(func() { b.disk.Overwrite([]byte(photo), make([]byte, len(photo))) })
			c.eventually("node 2 has it again", func() bool { return b.has("photo", photo) })
			b.waitLog("a file was damaged")
			c.eventually("and sends again", func() bool { return b.folderField("type") == "sendreceive" })
			require.True(t, a.has("photo", photo))
			require.False(t, anyHas(b, "photo.sync-conflict-", ""), "zeros are nobody's photo")
			require.True(t, b.has("other", "untouched"))
		})
	}
}

func TestZerosAreNotBelievedLater(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1", "node-2")
	a, b := c.nodes["node-1"], c.nodes["node-2"]
	fill(c, a, b)
	photo := strings.Repeat("a photo that was written at the last moment. ", 2000)
	c.exchange(b, a, "photo", photo)
	a.stopDaemon()
	b.stored()
	b.tear(func() { b.disk.Overwrite([]byte(photo), make([]byte, len(photo))) })
	c.eventually("it sends again", func() bool { return b.folderField("type") == "sendreceive" })
	a.startDaemon()
	c.eventually("it is fetched when node 1 is back", func() bool { return b.has("photo", photo) })
	require.True(t, a.has("photo", photo))
}

func TestDamagedFileSurvivesAnInterruption(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1", "node-2")
	a, b := c.nodes["node-1"], c.nodes["node-2"]
	fill(c, a, b)
	photo := strings.Repeat("a photo that was written at the last moment. ", 2000)
	c.exchange(b, a, "photo", photo)
	b.stored()
	b.interrupt.Store("set aside")
	b.tear(func() { b.disk.Overwrite([]byte(photo), make([]byte, len(photo))) })
	c.eventually("interrupted", b.reached.Load)
	b.interrupt.Store("")
	c.eventually("it sends again", func() bool { return b.folderField("type") == "sendreceive" })
	c.eventually("the photo is fetched", func() bool { return b.has("photo", photo) })
	c.eventually("and all is at rest", func() bool { return a.completion(b) == 100 && b.completion(a) == 100 })
	require.True(t, a.has("photo", photo))
	requireGood(t, a)
}
