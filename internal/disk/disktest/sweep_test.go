package disktest

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { os.Exit(Main(m)) }

func TestOnlyFoldersOfDeadRunsAreSwept(t *testing.T) {
	parent := t.TempDir()
	long, now := time.Now().Add(-2*abandoned), time.Now()
	folder := func(name string, changed time.Time) string {
		path := filepath.Join(parent, name)
		require.NoError(t, os.MkdirAll(filepath.Join(path, "root", "data"), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(path, "image"), []byte("x"), 0o600))
		require.NoError(t, os.Chtimes(path, changed, changed))
		return path
	}
	dead := folder("homecloud-disk-1", long)
	young := folder("homecloud-disk-2", now)
	running := folder("homecloud-disk-3", long)
	other := folder("homecloud-st-4", long)
	elsewhere := folder("elsewhere", long)
	link := filepath.Join(parent, "homecloud-disk-5")
	require.NoError(t, os.Symlink(elsewhere, link))
	held, err := hold(running)
	require.NoError(t, err)

	sweep(parent, now.Add(-abandoned))
	require.NoDirExists(t, dead)
	for _, stays := range []string{young, running, other, elsewhere, link} {
		require.DirExists(t, filepath.Join(stays, "root", "data"))
	}
	require.NoError(t, held.Close())
	sweep(parent, now.Add(-abandoned))
	require.NoDirExists(t, running, "its run has ended")
}

// A test of another namespace is seen by its loop device alone.
func TestMountedDiskIsNeverSwept(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir()) // nobody else's are there
	d := New(t, "ext4")
	require.NoError(t, os.WriteFile(d.In("kept"), nil, 0o600))
	folder := filepath.Dir(d.Root)
	used, err := inUse()
	require.NoError(t, err)
	require.True(t, used(folder))
	require.False(t, used(folder+"0"))
	require.False(t, used(folder[:len(folder)-1]))

	require.NoError(t, d.held.Close()) // as if its run were dead, but for a daemon
	sweep(filepath.Dir(folder), time.Now().Add(time.Hour))
	require.FileExists(t, d.In("kept"))
}

func TestHeldDiskIsNotSweptAndADeadOneIs(t *testing.T) {
	d := New(t, "ext4")
	d.Unmount()
	d.waitReleased()
	folder := filepath.Dir(d.Root)
	remove(folder)
	require.DirExists(t, folder)
	require.NoError(t, d.held.Close())
	remove(folder)
	require.NoDirExists(t, folder)
}
