package syncthing_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tmorin/homecloud/internal/syncthing"
)

const (
	conflictCopy = "doc.sync-conflict-20260101-120000-ABCDEFG.odt"
	alike        = "list.sync-conflict-20260101-120000-ABCDEFG.odt"
)

// startWithConflictCopies starts two boards that have conflict copies, and with a
// version that was edited on one of them.
func startWithConflictCopies(t *testing.T) (c *cluster, a, b *node) {
	t.Helper()
	c = startCluster(t, "node-1", "node-2")
	a, b = c.nodes["node-1"], c.nodes["node-2"]
	fill(c, a, b)
	c.exchange(a, b, conflictCopy, "as it was")
	c.exchange(a, b, alike, "on both")
	c.atRest(a, b)
	return c, a, b
}

func (c *cluster) keptBothVersions(a, b *node) {
	c.t.Helper()
	c.atRest(a, b)
	c.eventually("both versions are on both", func() bool {
		for _, n := range []*node{a, b} {
			if !anyHas(n, "doc.sync-conflict", "as it was") || !anyHas(n, "doc.sync-conflict", "merged") {
				return false
			}
		}
		return true
	})
	for _, n := range []*node{a, b} {
		found, err := filepath.Glob(n.share("list*"))
		require.NoError(c.t, err)
		require.Len(c.t, found, 1, "what is the same isn't kept twice")
	}
}

// Of two versions of a conflict copy Syncthing keeps one. Somebody merged their
// work into it before the index was lost.
func TestEditedConflictCopyAndTheIndexIsLost(t *testing.T) {
	t.Parallel()
	c, a, b := startWithConflictCopies(t)
	a.stopDaemon()
	b.put(conflictCopy, "merged")
	c.eventually("it was seen", func() bool { return b.completion(a) != 100 })
	b.stopDaemon()
	index, err := filepath.Glob(filepath.Join(b.home, "index-*"))
	require.NoError(t, err)
	for _, path := range index {
		require.NoError(t, os.RemoveAll(path))
	}
	a.startDaemon()
	b.startDaemon()
	c.keptBothVersions(a, b)
}

// … or before the share was renewed.
func TestEditedConflictCopyAndTheShareIsRenewed(t *testing.T) {
	t.Parallel()
	c, a, b := startWithConflictCopies(t)
	require.NoError(t, os.RemoveAll(b.share(".stfolder")))
	b.waitLog("has vanished from the disk")
	b.put(conflictCopy, "merged")
	hence := time.Now()
	require.NoError(t, os.Chtimes(b.share(conflictCopy), hence, hence))
	require.NoError(t, syncthing.Renew(b.home, "photos", slog.New(slog.DiscardHandler)))
	c.keptBothVersions(a, b)
}

// What isn't sent lies in a folder that only the torn disk has: reverting the
// folder would delete it.
func TestUnsentFilesInAFolderThatOnlyATornDiskHas(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1", "node-2")
	a, b := c.nodes["node-1"], c.nodes["node-2"]
	fill(c, a, b)
	b.stored()
	rollBack := b.disk.Remember()
	c.exchange(b, a, "lost", "something to revert")
	b.pull(rollBack)
	b.disk.Mount()
	require.NoError(t, os.MkdirAll(b.share("fonts/.Trashes"), 0o770))
	b.put("fonts/Garamond", "")
	b.put("fonts/._Garamond", "a font of an old Mac is all in here")
	b.put("fonts/readme", "text")
	b.startDaemon()
	c.atRest(a, b)
	c.eventually("what is sent has arrived", func() bool { return a.has("fonts/readme", "text") })
	c.eventually("what isn't sent is there", func() bool { return b.has("fonts/._Garamond", "a font of an old Mac is all in here") })
}
