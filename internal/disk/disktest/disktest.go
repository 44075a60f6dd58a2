// Package disktest gives tests real disks: file systems on loop devices, in a
// mount namespace of the test's own, that can be pulled, filled and frozen.
package disktest

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/disk"
)

// inNamespace marks the process that Main has started.
const inNamespace = "HOMECLOUD_DISKTEST_NAMESPACE"

// Main runs a package's tests in a mount namespace of their own, so that a
// test that crashes leaves no mount behind. Without root it just runs them:
// tests that need a disk then skip.
func Main(m *testing.M) int {
	if os.Geteuid() != 0 || os.Getenv(inNamespace) != "" {
		return m.Run()
	}
	// The parent's death must end the tests; the signal is bound to a thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), inNamespace+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	if err != nil {
		panic(err)
	}
	return 0
}

// Disk is a file system that a test may treat badly.
type Disk struct {
	Root       string // folder under which it is mounted
	Name       string
	FileSystem string

	t     testing.TB
	image string
	held  *os.File // the folder, while this test runs
}

// sizes are the smallest that mkfs accepts, and a little more.
var sizes = map[string]int64{"ext4": 64 << 20, "btrfs": 160 << 20, "xfs": 320 << 20}

// New makes a file system (ext4, btrfs or xfs) and mounts it at Root/data.
func New(t testing.TB, fileSystem string) *Disk {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounts a file system on a loop device: run as root")
	}
	if _, err := exec.LookPath("mkfs." + fileSystem); err != nil {
		t.Skipf("needs mkfs.%s: make deps installs it", fileSystem)
	}
	// Not t.TempDir: others than root have to reach the disk.
	sweepOnce()
	folder, err := os.MkdirTemp("", folderPattern)
	require.NoError(t, err)
	held, err := hold(folder)
	require.NoError(t, err)
	t.Cleanup(func() { held.Close() })
	require.NoError(t, os.Chmod(folder, 0o755))
	t.Cleanup(func() { os.RemoveAll(folder) })
	d := &Disk{Root: filepath.Join(folder, "root"), Name: "data", FileSystem: fileSystem, t: t, image: filepath.Join(folder, "image"), held: held}
	require.NoError(t, os.MkdirAll(d.Path(), 0o755))
	require.NoError(t, os.WriteFile(d.image, nil, 0o600))
	require.NoError(t, os.Truncate(d.image, sizes[fileSystem]))
	d.Format()
	d.Mount()
	return d
}

// Format makes a new file system in the place of an unmounted one.
func (d *Disk) Format() {
	d.t.Helper()
	force := "-f"
	if d.FileSystem == "ext4" {
		force = "-F"
	}
	d.run("mkfs."+d.FileSystem, "-q", force, d.image)
}

// Path is the mount point.
func (d *Disk) Path() string { return filepath.Join(d.Root, d.Name) }

// Mount mounts the disk, as often as it was unmounted.
func (d *Disk) Mount() {
	d.t.Helper()
	d.run("mount", "-o", "loop", "-t", d.FileSystem, d.image, d.Path())
	d.t.Cleanup(func() { _ = unix.Unmount(d.Path(), unix.MNT_DETACH) })
}

// MountElsewhere mounts the same file system also at another place below
// Root.
func (d *Disk) MountElsewhere(name string) {
	d.t.Helper()
	path := filepath.Join(d.Root, name)
	require.NoError(d.t, os.MkdirAll(path, 0o755))
	require.NoError(d.t, unix.Mount(d.Path(), path, "", unix.MS_BIND, ""))
	d.t.Cleanup(func() { _ = unix.Unmount(path, unix.MNT_DETACH) })
}

// Unmount takes the disk away; daemons may still hold files of it open.
func (d *Disk) Unmount() {
	d.t.Helper()
	require.NoError(d.t, unix.Unmount(d.Path(), unix.MNT_DETACH))
}

// Sync stores everything.
func (d *Disk) Sync() {
	d.t.Helper()
	d.run("sync", "--file-system", d.Path())
}

// Remember keeps the disk as it is stored at this moment: what the kernel has
// not written back isn't in it. The result brings an unmounted disk back to
// that moment, as a loss of power does.
func (d *Disk) Remember() (rollBack func()) {
	d.t.Helper()
	kept := d.image + ".kept"
	d.run("cp", "--sparse=always", d.image, kept)
	return func() {
		d.t.Helper()
		d.waitReleased()
		d.run("cp", "--sparse=always", kept, d.image)
	}
}

// waitReleased waits until nobody holds the unmounted disk any more.
func (d *Disk) waitReleased() {
	d.t.Helper()
	require.Eventually(d.t, func() bool {
		output, err := exec.Command("losetup", "--associated", d.image).Output()
		return err == nil && len(output) == 0
	}, 10*time.Second, 20*time.Millisecond, "somebody still uses the disk")
}

// Overwrite replaces a text in the unmounted disk's blocks behind the file
// system's back, by one of the same length.
func (d *Disk) Overwrite(text, by []byte) {
	d.t.Helper()
	require.Len(d.t, by, len(text))
	d.waitReleased()
	content, err := os.ReadFile(d.image)
	require.NoError(d.t, err)
	at := bytes.Index(content, text)
	require.GreaterOrEqual(d.t, at, 0, "the text is on the disk")
	require.Equal(d.t, at, bytes.LastIndex(content, text), "once")
	copy(content[at:], by)
	require.NoError(d.t, os.WriteFile(d.image, content, 0o600))
}

// Remount mounts with other options, "ro" or "rw".
func (d *Disk) Remount(options string) {
	d.t.Helper()
	d.run("mount", "-o", "remount,"+options, d.Path())
}

// Adopt makes it a disk of the cluster "home".
func (d *Disk) Adopt() config.Sentinel {
	d.t.Helper()
	sentinel, adopted, err := d.Adoption().Run()
	require.NoError(d.t, err)
	require.True(d.t, adopted)
	return sentinel
}

// Adoption is what Adopt runs.
func (d *Disk) Adoption() disk.Adoption {
	return disk.Adoption{Path: d.Path(), Cluster: "home", Disk: d.Name, Node: "node-1",
		UID: config.DefaultOwner, GID: config.DefaultOwner}
}

// Expectation is what a gate expects of the adopted disk.
func (d *Disk) Expectation() disk.Expectation {
	return disk.Expectation{Root: d.Root, Disk: d.Name, Cluster: "home"}
}

// Shutdown pulls an ext4 or xfs disk: from then on every access is an I/O
// error, while the mount stays.
func (d *Disk) Shutdown() {
	d.t.Helper()
	const shutdown, withoutFlushing = 0x8004587d, 2
	d.ioctl(shutdown, withoutFlushing)
}

// Vanish takes the device away under the file system: what was read before is
// still answered from memory.
func (d *Disk) Vanish() {
	d.t.Helper()
	require.NoError(d.t, os.Truncate(d.image, 0))
}

// Freeze makes every write hang until Thaw, as a dying disk does.
func (d *Disk) Freeze() {
	d.t.Helper()
	const freeze = 0xc0045877
	d.ioctl(freeze, 0)
	d.t.Cleanup(func() { _ = d.tryThaw() })
}

// Thaw ends Freeze.
func (d *Disk) Thaw() {
	d.t.Helper()
	require.NoError(d.t, d.tryThaw())
}

func (d *Disk) tryThaw() error {
	const thaw = 0xc0045878
	top, err := os.Open(d.Path())
	if err != nil {
		return err
	}
	defer top.Close()
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, top.Fd(), thaw, 0); errno != 0 {
		return errno
	}
	return nil
}

// Fill writes until nothing fits any more.
func (d *Disk) Fill() {
	d.t.Helper()
	block := make([]byte, 1<<20)
	for size := len(block); size >= 512; size /= 2 {
		file, err := os.OpenFile(d.In("filler"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if errors.Is(err, unix.ENOSPC) {
			return
		}
		require.NoError(d.t, err)
		for err == nil {
			if _, err = file.Write(block[:size]); err == nil {
				err = file.Sync()
			}
		}
		file.Close()
		require.ErrorIs(d.t, err, unix.ENOSPC)
	}
}

// Immutable lets nobody make, change or remove anything in a folder, root
// included, as a file system does that doesn't take a name.
func (d *Disk) Immutable(folder string) {
	d.t.Helper()
	opened, err := os.Open(folder)
	require.NoError(d.t, err)
	defer opened.Close()
	require.NoError(d.t, unix.IoctlSetPointerInt(int(opened.Fd()), unix.FS_IOC_SETFLAGS, unix.STATX_ATTR_IMMUTABLE))
}

// In is a path on the disk.
func (d *Disk) In(name string) string { return filepath.Join(d.Path(), name) }

// Device is the loop device's major and minor number.
func (d *Disk) Device() (major, minor uint32) {
	d.t.Helper()
	var info unix.Stat_t
	require.NoError(d.t, unix.Stat(d.Path(), &info))
	return unix.Major(info.Dev), unix.Minor(info.Dev)
}

func (d *Disk) ioctl(request uintptr, flag uint32) {
	d.t.Helper()
	top, err := os.Open(d.Path())
	require.NoError(d.t, err)
	defer top.Close()
	require.NoError(d.t, unix.IoctlSetPointerInt(int(top.Fd()), uint(request), int(flag)))
}

func (d *Disk) run(name string, args ...string) {
	d.t.Helper()
	output, err := exec.Command(name, args...).CombinedOutput()
	require.NoError(d.t, err, "%s %s: %s", name, strings.Join(args, " "), output)
}
