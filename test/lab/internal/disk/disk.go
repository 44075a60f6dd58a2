// Package disk makes the data disks of nodes out of files, attaches them and pulls them.
//
// A disk that is pulled answers each access with an I/O error, to who holds files open as
// well. ext4 and xfs have a call that does this to a whole file system. btrfs has none
// (ENOTTY), so that its image lies on an ext4 file system of its own, the drive, and the
// drive is shut down below it.
package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Filesystems are those a disk can have, the default first.
var Filesystems = []string{"btrfs", "ext4", "xfs"}

// size of a disk; the file is sparse, so that only what is written takes room.
const size = 4 << 30

// A Disk is one data disk of a node.
type Disk struct {
	// Label names the disk on this machine, "LAB/NODE/DISK"; its loop devices carry it.
	Label      string `json:"label"`
	Name       string `json:"name"`
	Filesystem string `json:"filesystem"`
	// Detached disks are left out when the node starts.
	Detached bool `json:"detached,omitempty"`
}

// Target is where a node mounts the disk.
func (d Disk) Target() string { return "/srv/homecloud/" + d.Name }

// Folders inside a node.
const (
	// Images holds the disks' files.
	Images = "/run/lab/disks"
	// drives is where ext4 file systems that hold another image are mounted.
	drives = "/run/lab/drives"
)

const inner = "disk.img"

func (d Disk) image() string { return d.Name + ".img" }
func (d Disk) drive() string { return filepath.Join(drives, d.Name) }

// nested says whether the file system lies in a file on a drive.
func (d Disk) nested() bool { return d.Filesystem == "btrfs" }

// Create makes the disk's file in a folder, once, with programs that run starts. It mounts
// nothing.
func (d Disk) Create(folder string, run func(argv ...string) error) error {
	path := filepath.Join(folder, d.image())
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	work, err := os.MkdirTemp(folder, "making-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	data := filepath.Join(work, "content", inner)
	if err := os.Mkdir(filepath.Dir(data), 0o755); err != nil {
		return err
	}
	if err := sparse(data, size); err != nil {
		return err
	}
	tool := map[string][]string{
		"btrfs": {"mkfs.btrfs", "-q", "-L", d.Name, data},
		"ext4":  {"mkfs.ext4", "-q", "-m", "0", "-L", d.Name, data},
		"xfs":   {"mkfs.xfs", "-q", "-L", d.Name, data},
	}[d.Filesystem]
	if err := run(tool...); err != nil {
		return err
	}
	if !d.nested() {
		return os.Rename(data, path)
	}
	outer := filepath.Join(work, "drive.img")
	if err := sparse(outer, size+size/8); err != nil {
		return err
	}
	if err := run("mkfs.ext4", "-q", "-m", "0", "-L", "drive", "-d", filepath.Dir(data), outer); err != nil {
		return err
	}
	return os.Rename(outer, path)
}

// MountPoint makes the empty folder the disk is mounted on. Nobody can write into it while
// the disk is away, where the file system has the immutable flag.
func (d Disk) MountPoint(root string) error {
	path := filepath.Join(root, d.Target())
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	return immutable(path, true)
}

// Unlock makes the mount point removable again.
func (d Disk) Unlock(root string) error {
	return immutable(filepath.Join(root, d.Target()), false)
}

func immutable(path string, on bool) error {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) && !on {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	flags, err := unix.IoctlGetInt(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.ENOTSUP) {
		return nil // tmpfs and others have no such flag
	}
	if err != nil {
		return fmt.Errorf("%s: flags: %w", path, err)
	}
	want := flags &^ unix.STATX_ATTR_IMMUTABLE
	if on {
		want = flags | unix.STATX_ATTR_IMMUTABLE // the same bit as FS_IMMUTABLE_FL
	}
	if want == flags {
		return nil
	}
	if err := unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, want); err != nil {
		return fmt.Errorf("%s: flags: %w", path, err)
	}
	return nil
}

// Attach mounts the disk inside the node this process runs in. What was written before a
// pull and reached the disk is there: the file systems replay their logs.
func (d Disk) Attach(patience time.Duration) error {
	if mounted(d.Target()) {
		return nil
	}
	// A daemon that still holds a file of the pulled disk keeps the old file system alive,
	// and btrfs refuses a second one with the same identity, as on real machines.
	deadline := time.Now().Add(patience)
	for {
		old := Loops(d.Label)
		if len(old) == 0 {
			break
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("disk %s: its pulled file system is still in use on %s by %s; end them first",
				d.Name, strings.Join(old, ", "), holders(d.Name))
		}
		time.Sleep(50 * time.Millisecond)
	}
	image := filepath.Join(Images, d.image())
	if d.nested() {
		if err := mount(image, d.drive(), "ext4", d.Label+"/drive"); err != nil {
			return err
		}
		image = filepath.Join(d.drive(), inner)
	}
	if err := mount(image, d.Target(), d.Filesystem, d.Label); err != nil {
		if d.nested() {
			_ = unix.Unmount(d.drive(), unix.MNT_DETACH)
		}
		return err
	}
	return remember(d.Name, d.Target())
}

// Detach pulls the disk as it is, under whatever load: first nothing can be read or
// written any more, then it is gone from the tree.
func (d Disk) Detach() error {
	if !mounted(d.Target()) {
		return nil
	}
	below := d.Target()
	if d.nested() {
		below = d.drive()
	}
	if err := shutdown(below); err != nil {
		return fmt.Errorf("disk %s: shut down %s: %w", d.Name, below, err)
	}
	if d.nested() {
		notice(d.Target())
	}
	if err := unmount(d.Target()); err != nil {
		return err
	}
	if d.nested() {
		return unmount(d.drive())
	}
	return nil
}

// shutdown is EXT4_IOC_SHUTDOWN, which xfs shares (XFS_IOC_GOINGDOWN). 2 is without
// flushing the log: what wasn't synced is lost, as when a cable is pulled.
func shutdown(path string) error {
	const goingDown, withoutFlush = 0x8004587d, 2
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return unix.IoctlSetPointerInt(int(f.Fd()), goingDown, withoutFlush)
}

// notice makes btrfs find out at once that nothing can be written any more: it tries to
// commit, fails, and turns read-only. By itself it would within its commit interval of
// half a minute, and say yes to each write until then.
func notice(path string) {
	f, err := os.Open(path)
	if err != nil {
		return // it knows already
	}
	defer func() { _ = f.Close() }()
	_ = unix.Syncfs(int(f.Fd()))
}

// unmount takes the file system away even while files are open: daemons don't let go of a
// disk because it broke.
func unmount(path string) error {
	if err := unix.Unmount(path, 0); err == nil {
		return nil
	}
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount %s: %w", path, err)
	}
	return nil
}

func mount(image, target, kind, label string) error {
	loop, err := setUp(image, label)
	if err != nil {
		return fmt.Errorf("%s: %w", image, err)
	}
	// Autoclear: the mount keeps the loop device from now on, and its end frees it.
	defer func() { _ = loop.Close() }()
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(loop.Name(), target, kind, unix.MS_NOATIME, ""); err != nil {
		return fmt.Errorf("mount %s (%s) at %s: %w", loop.Name(), kind, target, err)
	}
	return nil
}

// mounted compares devices: mount points of other file systems differ from their parent.
func mounted(path string) bool {
	var own, parent unix.Stat_t
	if unix.Stat(path, &own) != nil || unix.Stat(filepath.Dir(path), &parent) != nil {
		return false
	}
	return own.Dev != parent.Dev
}

func sparse(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size), f.Close())
}
