package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tmorin/homecloud/internal/complaint"
	"github.com/tmorin/homecloud/internal/config"
)

// Expectation says where a data disk must be and which one it must be.
type Expectation struct {
	Root    string // folder under which disks are mounted
	Disk    string // name of the disk: its mount point is Root/Disk
	Cluster string // the home the disk must belong to
}

// Path is the disk's mount point.
func (e Expectation) Path() string { return filepath.Join(e.Root, e.Disk) }

// Identity tells one mounting of one disk from every other. A daemon that was
// started on one identity must not go on with another.
type Identity struct {
	Mount      uint64 // number of the mount
	Unique     bool   // no other mount gets that number (Linux 6.8)
	Device     uint64 // st_dev
	Generation string // of the sentinel
}

// Found is what a check learned about the right disk.
type Found struct {
	Identity   Identity
	Sentinel   config.Sentinel
	FileSystem string
	// Unproved lists what this kernel or file system gives no means to check.
	Unproved []string
}

// ErrFull is wrapped by ProbeWrite when the only thing wrong is that there is
// no room. A full disk is read like any other: services must go on, or nobody
// could delete anything.
var ErrFull = errors.New("the disk is full")

// Check proves by reading that the right disk is mounted at its place. The
// returned error is the reason why it isn't, for a person. Every step goes
// through one open folder, so that a disk which is replaced meanwhile can't
// answer for another.
func (e Expectation) Check() (Found, error) {
	mount, err := openMount(e.Path())
	if err != nil {
		return Found{}, err
	}
	defer mount.Close()

	var room unix.Statfs_t
	if err := unix.Fstatfs(mount.fd(), &room); err != nil {
		return Found{}, fmt.Errorf("%s can't be examined: %w", mount.point, err)
	}
	if room.Flags&unix.ST_RDONLY != 0 {
		return Found{}, fmt.Errorf("%s is mounted read-only", mount.point)
	}

	sentinel, unproved, err := mount.readSentinel()
	if err != nil {
		return Found{}, err
	}
	if sentinel.Cluster != e.Cluster || sentinel.Disk != e.Disk {
		return Found{}, fmt.Errorf("%s holds disk %q of %q, not disk %q of %q",
			mount.point, sentinel.Disk, sentinel.Cluster, e.Disk, e.Cluster)
	}
	return Found{
		Identity:   Identity{Mount: mount.id, Unique: mount.unique, Device: mount.device, Generation: sentinel.Generation},
		Sentinel:   sentinel,
		FileSystem: mount.fileSystem,
		Unproved:   unproved,
	}, nil
}

// ProbeWrite makes, flushes and removes a small file in the disk's probe
// folder. It writes only on the mount that a check has found before, never on
// what may have come in its place.
func (e Expectation) ProbeWrite(expected Identity, name string) error {
	mount, err := openMount(e.Path())
	if err != nil {
		return err
	}
	defer mount.Close()
	if mount.id != expected.Mount || mount.device != expected.Device {
		return fmt.Errorf("%s has been mounted anew", mount.point)
	}

	folder, err := unix.Openat(mount.fd(), config.ProbeDirectory, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("%s has no folder %s; run `homecloud-agent disk adopt` on this node again", mount.point, config.ProbeDirectory)
	}
	if err != nil {
		return fmt.Errorf("%s/%s: %w", mount.point, config.ProbeDirectory, err)
	}
	defer unix.Close(folder)

	fd, err := unix.Openat(folder, name, unix.O_WRONLY|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o660)
	if err != nil {
		return writeError(mount.point, err)
	}
	block := make([]byte, blockSize)
	_, err = unix.Write(fd, block)
	if err == nil {
		err = unix.Fsync(fd)
	}
	err = errors.Join(err, unix.Close(fd))
	if removal := unix.Unlinkat(folder, name, 0); removal != nil && !errors.Is(removal, unix.ENOENT) {
		err = errors.Join(err, removal)
	}
	return writeError(mount.point, err)
}

func writeError(point string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EIO), errors.Is(err, unix.EROFS):
		// More than one error may have been joined: what says "broken" wins.
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return fmt.Errorf("%s: %w", point, ErrFull)
	}
	return fmt.Errorf("%s can't be written: %s", point, strings.ReplaceAll(err.Error(), "\n", "; "))
}

// blockSize satisfies O_DIRECT on every disk sold.
const blockSize = 4096

// openedMount is the top folder of a mounted disk, opened without touching
// the disk.
type openedMount struct {
	file       *os.File
	point      string
	id         uint64
	unique     bool
	device     uint64
	fileSystem string
}

func (m *openedMount) Close() error { return m.file.Close() }
func (m *openedMount) fd() int      { return int(m.file.Fd()) }

// openMount opens a mount point and refuses a folder that is none.
func openMount(path string) (*openedMount, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf(complaint.NoDisk+"%s: %w", path, err)
	}
	m := &openedMount{file: os.NewFile(uintptr(fd), path)}
	if err := m.identify(); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

func (m *openedMount) identify() error {
	var err error
	// The kernel's word for the folder: links on the way to it are resolved.
	if m.point, err = os.Readlink(fmt.Sprintf("/proc/self/fd/%d", m.fd())); err != nil {
		return fmt.Errorf(complaint.NoDisk+"%s: %w", m.file.Name(), err)
	}
	var id int
	if id, err = mountID(m.fd()); err != nil {
		return fmt.Errorf(complaint.NoDisk+"%s: %w", m.point, err)
	}
	table, err := mounts()
	if err != nil {
		return err
	}
	found := false
	for _, mount := range table {
		if mount.ID == id && mount.Point == m.point {
			m.fileSystem, found = mount.FileSystem, true
		}
	}
	if !found {
		return fmt.Errorf(complaint.NoDisk+"%s: nothing is mounted there", m.point)
	}
	var own, parent unix.Stat_t
	if err := unix.Fstatat(m.fd(), "", &own, unix.AT_EMPTY_PATH); err != nil {
		return fmt.Errorf(complaint.NoDisk+"%s: %w", m.point, err)
	}
	if err := unix.Fstatat(m.fd(), "..", &parent, 0); err != nil {
		return fmt.Errorf(complaint.NoDisk+"%s: %w", m.point, err)
	}
	if own.Dev == parent.Dev {
		return fmt.Errorf(complaint.NoDisk+"%s: what is mounted there lies on the same file system as the folder above", m.point)
	}
	m.device = own.Dev
	m.id = uint64(id)
	if unique, ok := uniqueMountID(m.fd()); ok {
		m.id, m.unique = unique, true
	}
	return nil
}

// mountID returns the mount table's number of the mount a folder was opened
// through; it may be given to another mount later.
func mountID(fd int) (int, error) {
	info, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", fd))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(info)) {
		var id int
		if _, err := fmt.Sscanf(line, "mnt_id: %d", &id); err == nil {
			return id, nil
		}
	}
	return 0, errors.New("the kernel tells no mount of an open folder")
}

// statxMountIDUnique is STATX_MNT_ID_UNIQUE.
const statxMountIDUnique = 0x4000

// uniqueMountID returns a number that no other mount gets until the next boot
// (Linux 6.8).
func uniqueMountID(fd int) (uint64, bool) {
	var info unix.Statx_t
	err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, statxMountIDUnique, &info)
	return info.Mnt_id, err == nil && info.Mask&statxMountIDUnique != 0
}

// readSentinel reads the sentinel from the disk itself, not from memory, and
// compares it with the file system it lies on.
func (m *openedMount) readSentinel() (config.Sentinel, []string, error) {
	name := filepath.Join(m.point, config.SentinelFile)
	var unproved []string
	flags := unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_CLOEXEC | unix.O_NONBLOCK
	fd, err := unix.Openat(m.fd(), config.SentinelFile, flags|unix.O_DIRECT, 0)
	if errors.Is(err, unix.EINVAL) {
		unproved = append(unproved, fmt.Sprintf("%s has no direct reads: a dead disk may be noticed later", m.fileSystem))
		fd, err = unix.Openat(m.fd(), config.SentinelFile, flags, 0)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return config.Sentinel{}, nil, fmt.Errorf("%s has no %s: it wasn't adopted, or it is another disk", m.point, config.SentinelFile)
	}
	if err != nil {
		return config.Sentinel{}, nil, fmt.Errorf("%s can't be read: %w", name, err)
	}
	defer unix.Close(fd)

	// btrfs answers a direct read of a compressed file from memory: what is
	// cached has to go first. Best effort, the kernel may keep it.
	_ = unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED)
	content, err := readAligned(fd)
	if err != nil {
		return config.Sentinel{}, nil, fmt.Errorf("%s can't be read: %w", name, err)
	}
	sentinel, err := parseSentinel(content)
	if err != nil {
		return config.Sentinel{}, nil, fmt.Errorf("%s: %w", name, err)
	}
	uuid, err := fileSystemUUID(fd)
	switch {
	case errors.Is(err, errNoUUID):
		unproved = append(unproved, fmt.Sprintf("%v (%s): a sentinel copied to another disk wouldn't be noticed", err, m.fileSystem))
	case err != nil:
		return config.Sentinel{}, nil, fmt.Errorf("%s: %w", m.point, err)
	case !strings.EqualFold(uuid, sentinel.UUID):
		return config.Sentinel{}, nil, fmt.Errorf("%s: the sentinel was written for file system %s, this one is %s", m.point, sentinel.UUID, uuid)
	}
	return sentinel, unproved, nil
}

// parseSentinel reads a sentinel with the padding that adoption adds.
func parseSentinel(content []byte) (config.Sentinel, error) {
	return config.ParseSentinel(bytes.TrimRight(content, " \n"))
}

// readAligned reads a small file with a buffer as O_DIRECT wants it.
func readAligned(fd int) ([]byte, error) {
	backing := make([]byte, sentinelSize+2*blockSize)
	start := 0
	if rest := int(uintptr(unsafe.Pointer(&backing[0])) % blockSize); rest != 0 {
		start = blockSize - rest
	}
	buffer := backing[start : start+sentinelSize+blockSize]
	for {
		n, err := unix.Pread(fd, buffer, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if n == len(buffer) {
			return nil, fmt.Errorf("longer than %d bytes", sentinelSize)
		}
		return buffer[:n], nil
	}
}

// Within calls do with a path to the top of the disk that a check has found.
// The path keeps leading to that very mount, whatever happens at its place.
func (e Expectation) Within(found Identity, do func(top string) error) error {
	mount, err := openMount(e.Path())
	if err != nil {
		return err
	}
	defer mount.Close()
	if mount.id != found.Mount || mount.device != found.Device {
		return fmt.Errorf("%s has been mounted anew", mount.point)
	}
	return do(fmt.Sprintf("/proc/self/fd/%d", mount.fd()))
}
