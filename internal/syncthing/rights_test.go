package syncthing_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// rightsCount runs a test once more, in a process that may not pass over the
// rights of files, as in the pods, and returns true in there.
func rightsCount(t *testing.T) bool {
	t.Helper()
	const within = "HOMECLOUD_TEST_RIGHTS_COUNT"
	if os.Getenv(within) != "" {
		return true
	}
	if testing.Short() {
		t.Skip("runs real Syncthings: make test-daemons runs it")
	}
	syncthingBinary(t)
	self, err := os.Executable()
	require.NoError(t, err)
	command := exec.CommandContext(t.Context(), "setpriv", "--bounding-set", "-dac_override,-dac_read_search", self, "-test.run", "^"+t.Name()+"$")
	command.Env = append(os.Environ(), within+"=yes")
	output, err := command.CombinedOutput()
	require.NoError(t, err, "%s", output)
	return false
}

// startWithRights starts two boards on disks that belong to this account.
func startWithRights(t *testing.T) (c *cluster, a, b *node) {
	t.Helper()
	c = newCluster(t, "node-1", "node-2")
	c.keepVersions(0)
	a, b = c.nodes["node-1"], c.nodes["node-2"]
	for _, n := range []*node{a, b} {
		n.own()
		n.start()
	}
	guarded := b.disk.In("guarded")
	require.NoError(t, os.Mkdir(guarded, 0o555))
	require.ErrorIs(t, os.WriteFile(filepath.Join(guarded, "x"), nil, 0o600), fs.ErrPermission)
	fill(c, a, b)
	c.exchange(b, a, "doc", "v1")
	return c, a, b
}

func (n *node) own() {
	n.t.Helper()
	require.NoError(n.t, filepath.WalkDir(n.disk.Path(), func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, os.Getuid(), os.Getgid()))
	}))
}

// putDisc puts what was copied from a disc, with the rights that it had there.
func (n *node) putDisc() {
	n.t.Helper()
	require.NoError(n.t, os.MkdirAll(n.share("disc/inner"), 0o770))
	n.put("disc/photo", "of grandmother")
	n.put("disc/inner/photo", "of grandfather")
	require.NoError(n.t, os.Chmod(n.share("disc/inner"), 0o555))
	require.NoError(n.t, os.Chmod(n.share("disc"), 0o555))
}

func (n *node) hasDisc() bool {
	return n.has("disc/photo", "of grandmother") && n.has("disc/inner/photo", "of grandfather")
}

// Syncthing takes itself the right to delete what is in a folder that nobody may
// write.
func TestReadOnlyFolderOnATornDisk(t *testing.T) {
	t.Parallel()
	if !rightsCount(t) {
		return
	}
	c, a, b := startWithRights(t)
	b.stored()
	rollBack := b.disk.Remember()
	c.exchange(b, a, "lost", "something to revert")
	b.pull(rollBack)
	b.disk.Mount()
	b.putDisc()
	b.startDaemon()
	c.atRest(a, b)
	c.eventually("the disc is on both", func() bool { return a.hasDisc() && b.hasDisc() })
}

func TestReadOnlyFolderOnAnOldDisk(t *testing.T) {
	t.Parallel()
	if !rightsCount(t) {
		return
	}
	c, a, b := startWithRights(t)
	c.exchange(b, a, "doc", "v2")
	b.replaceDisk(func() {
		b.own()
		require.NoError(t, os.MkdirAll(b.share(""), 0o770))
		b.put("doc", "v1")
		b.putDisc()
	})
	c.atRest(a, b)
	c.eventually("the disc is on both", func() bool { return a.hasDisc() && b.hasDisc() })
}

// Somebody has guarded the marker: nothing could be set aside.
func TestMarkerThatNobodyMayWrite(t *testing.T) {
	t.Parallel()
	if !rightsCount(t) {
		return
	}
	c, a, b := startWithRights(t)
	c.exchange(a, b, "letter", "v1")
	c.atRest(a, b)
	require.NoError(t, os.Chmod(b.share(".stfolder"), 0o555))
	b.stored()
	rollBack := b.disk.Remember()
	c.exchange(b, a, "lost", "something to revert")
	b.pull(rollBack)
	b.disk.Mount()
	b.put("photo", "only here")
	b.put("letter", "edited in the last moment")
	b.startDaemon()
	c.atRest(a, b)
	c.eventually("all is on both", func() bool {
		return a.has("photo", "only here") && b.has("photo", "only here") &&
			anyHas(a, "letter", "edited in the last moment") && anyHas(b, "letter", "edited in the last moment")
	})
}
