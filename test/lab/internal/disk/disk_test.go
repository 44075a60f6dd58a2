package disk

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// inNode gives the test's thread the folders of a node, in a mount namespace that ends
// with the test.
func inNode(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		t.Skip("no loop devices here")
	}
	runtime.LockOSThread() // for good: the thread ends with its namespace
	require.NoError(t, unix.Unshare(unix.CLONE_NEWNS))
	require.NoError(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	for _, dir := range []string{"/run", "/srv"} {
		require.NoError(t, unix.Mount("tmpfs", dir, "tmpfs", 0, ""))
	}
	images := t.TempDir()
	require.NoError(t, os.MkdirAll(Images, 0o755))
	require.NoError(t, unix.Mount(images, Images, "", unix.MS_BIND, ""))
}

func TestPulledDisk(t *testing.T) {
	for _, filesystem := range Filesystems {
		t.Run(filesystem, func(t *testing.T) {
			if _, err := exec.LookPath("mkfs." + filesystem); err != nil {
				t.Skip(err)
			}
			inNode(t)
			d := Disk{Label: "disktest/" + filesystem, Name: "data", Filesystem: filesystem}
			require.NoError(t, d.Create(Images, func(argv ...string) error {
				return exec.Command(argv[0], argv[1:]...).Run()
			}))
			require.NoError(t, d.MountPoint("/"))
			require.NoError(t, d.Attach(time.Second))
			require.NoError(t, d.Attach(time.Second), "attaching what is there is fine")
			path := filepath.Join(d.Target(), "file")
			held, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|unix.O_DIRECT, 0o644)
			require.NoError(t, err)
			block := aligned()
			copy(block, filesystem)
			_, err = held.WriteAt(block, 0)
			require.NoError(t, err)
			require.NoError(t, held.Sync())

			require.NoError(t, d.Detach())
			require.NoError(t, d.Detach(), "pulling what is gone is fine")
			require.NoFileExists(t, path)
			_, err = held.ReadAt(aligned(), 0)
			require.ErrorIs(t, err, unix.EIO)
			// btrfs has turned read-only by itself by now, and says that first.
			_, err = held.WriteAt(block, 0)
			if !errors.Is(err, unix.EROFS) {
				require.ErrorIs(t, err, unix.EIO)
			}
			err = d.Attach(300 * time.Millisecond)
			require.ErrorContains(t, err, "disk.test (", "who holds the old one is named")
			require.NoError(t, held.Close())

			require.NoError(t, d.Attach(10*time.Second))
			kept, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, filesystem, string(kept[:len(filesystem)]))
			require.NoError(t, d.Detach())
			require.Eventually(t, func() bool { return len(Loops(d.Label)) == 0 }, 10*time.Second, 10*time.Millisecond)
		})
	}
}

func TestMountPointTakesNothingWhileTheDiskIsAway(t *testing.T) {
	root := t.TempDir()
	d := Disk{Name: "data"}
	err := d.MountPoint(root)
	if err != nil && os.Geteuid() != 0 {
		t.Skip("the immutable flag needs root")
	}
	require.NoError(t, err)
	defer func() { require.NoError(t, d.Unlock(root)) }()
	if !flagged(t, filepath.Join(root, d.Target())) {
		t.Skip("this file system has no immutable flag")
	}
	require.Error(t, os.WriteFile(filepath.Join(root, d.Target(), "stray"), nil, 0o644))
}

func flagged(t *testing.T, path string) bool {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer func() { _ = f.Close() }()
	flags, err := unix.IoctlGetInt(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	return err == nil && flags&unix.STATX_ATTR_IMMUTABLE != 0
}

// aligned is a block as direct access wants it.
func aligned() []byte {
	const block = 4096
	raw := make([]byte, 2*block)
	shift := block - int(uintptr(unsafe.Pointer(&raw[0]))%block)
	return raw[shift : shift+block]
}
