package disk

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tmorin/homecloud/internal/config"
)

// sentinelSize is the length a sentinel is padded to. btrfs keeps a file of up
// to one block inside its tree, where even a direct read is answered from
// memory; two blocks lie on the disk as such.
const sentinelSize = 2 * blockSize

// Adoption makes the file system mounted at Path a data disk of a home.
type Adoption struct {
	Path    string // mount point; its last element is the disk's name
	Cluster string
	Disk    string
	Node    string // for people: who adopted it
	UID     int    // owner of what families put there
	GID     int
	// AllowNonEmpty adopts a disk that already holds something. What it holds
	// stays as it is.
	AllowNonEmpty bool
}

// folder is one that adoption makes at the top of a disk.
type folder struct {
	name  string
	owned bool // by the owner; otherwise by root
	mode  os.FileMode
}

// folders are made before the sentinel, so that a sentinel means that they
// have been there.
func folders() []folder {
	return []folder{
		// Samba resolves a share's path as root, before it becomes the owner: without
		// capabilities it passes through this folder as anybody does.
		{config.SharesDirectory, true, 0o771},
		{config.InboxDirectory, true, 0o770},
		{config.ProbeDirectory, true, 0o770},
		{config.SnapshotsDirectory, false, 0o755},
	}
}

// Run adopts the disk and returns its sentinel; adopted is false when that had
// been done before and nothing needed to be changed. It refuses whatever could
// be somebody's data, and formats nothing.
func (a Adoption) Run() (sentinel config.Sentinel, adopted bool, err error) {
	if filepath.Base(filepath.Clean(a.Path)) != a.Disk {
		return sentinel, false, fmt.Errorf("%s: the disk %q must be mounted at a folder of that name", a.Path, a.Disk)
	}
	mount, err := openMount(a.Path)
	if err != nil {
		return sentinel, false, err
	}
	defer mount.Close()

	uuid, err := mount.uuid()
	if err != nil {
		return sentinel, false, fmt.Errorf("%s (%s): %w; use btrfs, ext4 or xfs", mount.point, mount.fileSystem, err)
	}
	existing, err := mount.existingSentinel()
	if err != nil {
		return sentinel, false, err
	}
	if existing != nil {
		return *existing, false, a.keep(mount, *existing, uuid)
	}
	if err := a.refuseData(mount); err != nil {
		return sentinel, false, err
	}
	if err := a.makeFolders(mount, folders()); err != nil {
		return sentinel, false, err
	}
	generation := make([]byte, 16)
	if _, err := rand.Read(generation); err != nil {
		return sentinel, false, fmt.Errorf("make a generation: %w", err)
	}
	sentinel = config.Sentinel{
		Version: config.SentinelVersion, Cluster: a.Cluster, Disk: a.Disk, UUID: uuid,
		Generation: hex.EncodeToString(generation), Node: a.Node,
	}
	if err := mount.writeSentinel(sentinel); err != nil {
		return sentinel, false, err
	}
	return sentinel, true, nil
}

// keep answers for a disk that has a sentinel. Only the probe folder, which
// holds nothing, is made again; a vanished shares folder means that somebody
// emptied the disk, and a person has to look at that first.
func (a Adoption) keep(mount *openedMount, existing config.Sentinel, uuid string) error {
	switch {
	case existing.Cluster != a.Cluster || existing.Disk != a.Disk:
		return fmt.Errorf("%s is disk %q of %q already; to give it away, remove %s after you looked at what it holds",
			mount.point, existing.Disk, existing.Cluster, filepath.Join(mount.point, config.SentinelFile))
	case !strings.EqualFold(existing.UUID, uuid):
		return fmt.Errorf("%s is a copy: its sentinel was written for file system %s, this one is %s", mount.point, existing.UUID, uuid)
	}
	for _, f := range folders() {
		if f.name == config.ProbeDirectory {
			if err := a.makeFolders(mount, []folder{f}); err != nil {
				return err
			}
			continue
		}
		var info unix.Stat_t
		if err := unix.Fstatat(mount.fd(), f.name, &info, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return fmt.Errorf("%s was adopted, but %s is gone (%w): was it emptied? To begin anew with it, remove %s and adopt it again",
				mount.point, f.name, err, filepath.Join(mount.point, config.SentinelFile))
		}
	}
	return nil
}

// refuseData refuses a disk that holds anything but what mkfs or an
// interrupted adoption leaves.
func (a Adoption) refuseData(mount *openedMount) error {
	if a.AllowNonEmpty {
		return nil
	}
	entries, err := os.ReadDir(mount.inside("."))
	if err != nil {
		return fmt.Errorf("%s can't be listed: %w", mount.point, err)
	}
	ours := map[string]bool{"lost+found": true, temporarySentinel: true}
	for _, f := range folders() {
		ours[f.name] = true
	}
	var found []string
	for _, entry := range entries {
		if !ours[entry.Name()] {
			found = append(found, entry.Name())
			continue
		}
		if !entry.IsDir() {
			continue
		}
		inside, err := os.ReadDir(mount.inside(entry.Name()))
		if err != nil {
			return fmt.Errorf("%s can't be listed: %w", filepath.Join(mount.point, entry.Name()), err)
		}
		inside = slices.DeleteFunc(inside, func(e os.DirEntry) bool {
			return entry.Name() == config.ProbeDirectory && (e.Name() == config.SessionFile || strings.HasPrefix(e.Name(), probePrefix))
		})
		if len(inside) > 0 {
			found = append(found, filepath.Join(entry.Name(), inside[0].Name()))
		}
	}
	if len(found) == 0 {
		return nil
	}
	shown := found
	if len(shown) > 5 {
		shown = append(shown[:5:5], "…")
	}
	return fmt.Errorf("%s holds data (%s); look at it, then adopt it with --allow-nonempty to keep it there", mount.point, strings.Join(shown, ", "))
}

func (a Adoption) makeFolders(mount *openedMount, wanted []folder) error {
	// Whoever may write to the top folder could put another sentinel there.
	top := mount.inside(".")
	if err := errors.Join(os.Lchown(top, 0, 0), os.Chmod(top, 0o755)); err != nil {
		return fmt.Errorf("%s: %w", mount.point, err)
	}
	for _, f := range wanted {
		uid, gid, mode := 0, 0, f.mode
		if f.owned {
			uid, gid = a.UID, a.GID
		}
		path, name := mount.inside(f.name), filepath.Join(mount.point, f.name)
		err := os.Mkdir(path, mode)
		if err == nil {
			if err := errors.Join(os.Lchown(path, uid, gid), os.Chmod(path, mode)); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			continue
		}
		if !errors.Is(err, os.ErrExist) {
			return fmt.Errorf("%s: %w", name, err)
		}
		var info unix.Stat_t
		if err := unix.Lstat(path, &info); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if info.Mode&unix.S_IFMT != unix.S_IFDIR {
			return fmt.Errorf("%s is in the way: it isn't a folder", name)
		}
		if int(info.Uid) != uid || int(info.Gid) != gid {
			return fmt.Errorf("%s exists and belongs to %d:%d, not to %d:%d; change its owner (with what is in it), then adopt again",
				name, info.Uid, info.Gid, uid, gid)
		}
	}
	return nil
}

// inside is a path to a file of this very mount, whatever is mounted over it
// later.
func (m *openedMount) inside(name string) string {
	return fmt.Sprintf("/proc/self/fd/%d/%s", m.fd(), name)
}

func (m *openedMount) uuid() (string, error) {
	top, err := os.Open(m.inside("."))
	if err != nil {
		return "", err
	}
	defer top.Close()
	return fileSystemUUID(int(top.Fd()))
}

// existingSentinel returns nil when there is none.
func (m *openedMount) existingSentinel() (*config.Sentinel, error) {
	name := filepath.Join(m.point, config.SentinelFile)
	content, err := os.ReadFile(m.inside(config.SentinelFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s can't be read: %w", name, err)
	}
	sentinel, err := parseSentinel(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &sentinel, nil
}

const temporarySentinel = config.SentinelFile + ".new"

// writeSentinel puts the sentinel in place in one step: it is there whole and
// on the disk, or not at all.
func (m *openedMount) writeSentinel(sentinel config.Sentinel) error {
	encoded := bytes.TrimRight(sentinel.Encode(), "\n")
	if len(encoded) >= sentinelSize {
		return fmt.Errorf("the sentinel of %s is longer than %d bytes", m.point, sentinelSize)
	}
	padded := append(encoded, bytes.Repeat([]byte(" "), sentinelSize-len(encoded))...)
	padded[sentinelSize-1] = '\n'

	temporary := m.inside(temporarySentinel)
	if err := os.Remove(temporary); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("write the sentinel of %s: %w", m.point, err)
	}
	file, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o444)
	if err != nil {
		return fmt.Errorf("write the sentinel of %s: %w", m.point, err)
	}
	_, err = file.Write(padded)
	err = errors.Join(err, file.Chmod(0o444), file.Sync(), file.Close())
	if err == nil {
		err = unix.Renameat2(unix.AT_FDCWD, temporary, unix.AT_FDCWD, m.inside(config.SentinelFile), unix.RENAME_NOREPLACE)
	}
	if err == nil {
		err = syncFolder(m.inside("."))
	}
	if err != nil {
		return fmt.Errorf("write the sentinel of %s: %w", m.point, err)
	}
	return nil
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
