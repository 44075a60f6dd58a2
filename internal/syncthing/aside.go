package syncthing

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tmorin/homecloud/internal/config"
)

// asideFolder is where what must not be reverted waits, within a share: the
// same file system, and neither Syncthing nor a door shows it.
const asideFolder = markerFolder + "/aside"

// group says, in asideFolder, what is known of a file that was set aside. The
// move itself changes the time by which that is told.
type group string

const (
	since   group = "since"   // somebody has written it since the disk is here
	before  group = "before"  // it lay there
	damaged group = "damaged" // and isn't what it was
)

// setAside moves what lies on the disk out of Syncthing's sight. Of a folder
// only the name is noted, what is in it is listed by itself; it goes when it is
// empty then, with what Syncthing doesn't list, and would delete with it. What
// this account may not move goes into stuck: Syncthing, which has the same
// account, can't delete it either.
func (p *pass) setAside(share string, names []string, stuck map[string]bool, of func(fs.FileInfo) group) error {
	if len(names) == 0 {
		return nil
	}
	return p.within(func(top string) error {
		root := filepath.Join(top, config.SharesDirectory, share)
		// Moving one name of a file changes the time of all of its names.
		linked := map[string]group{}
		for _, name := range names {
			if info, err := os.Lstat(filepath.Join(root, name)); err == nil && !info.IsDir() && links(info) > 1 {
				linked[name] = of(info)
			}
		}
		one := func(name string, asName bool) error {
			info, err := os.Lstat(filepath.Join(root, name))
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			group, known := linked[name]
			if !known {
				group = of(info)
			}
			err = p.setAsideOne(root, group, name, asName && info.IsDir())
			if errors.Is(err, fs.ErrPermission) {
				p.Log.Warn("it can't be set aside and stays", "share", share, "name", name, "because", fs.ErrPermission)
				stuck[name] = true
				return nil
			}
			return err
		}
		var folders []string
		for _, name := range names {
			if info, err := os.Lstat(filepath.Join(root, name)); err == nil && info.IsDir() {
				folders = append(folders, name)
			}
			if err := one(name, true); err != nil {
				return err
			}
		}
		slices.Sort(folders)
		for _, folder := range slices.Backward(folders) {
			unlisted, err := os.ReadDir(filepath.Join(root, folder))
			if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
				return err
			}
			for _, entry := range unlisted {
				if name := filepath.Join(folder, entry.Name()); !stuck[name] {
					if err := one(name, false); err != nil {
						return err
					}
				}
			}
			_ = removeIn(filepath.Join(root, folder)) // unless something is stuck in it
		}
		return nil
	})
}

// links is how many names a file has.
func links(info fs.FileInfo) uint64 {
	stat, _ := info.Sys().(*syscall.Stat_t) // what every file system of Linux gives
	return uint64(stat.Nlink)               //nolint:unconvert // 32 bits on ARM
}

func (p *pass) setAsideOne(root string, group group, name string, isFolder bool) error {
	folder, inner := filepath.Join(root, asideFolder, string(group)), filepath.Dir(name)
	if isFolder {
		inner = name
	}
	if err := p.makeFolders(folder, inner); err != nil {
		// No room for anything, whatever it is: it is no property of this name.
		return fmt.Errorf("set aside: %v", err) //nolint:errorlint // nobody may take it for one
	}
	if isFolder {
		return nil
	}
	from, to := filepath.Join(root, name), filepath.Join(folder, name)
	err := renameNoReplace(from, to)
	if errors.Is(err, fs.ErrExist) {
		// Written anew since an interrupted attempt: both are kept.
		err = p.renameConflict(from, to)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// asideNames are the names of what lies aside and isn't in the share (again).
func (p *pass) asideNames(share string) (names []string, err error) {
	err = p.within(func(top string) error {
		root := filepath.Join(top, config.SharesDirectory, share)
		for _, group := range []group{before, damaged, since} {
			base := filepath.Join(root, asideFolder, string(group))
			err := filepath.WalkDir(base, func(path string, _ fs.DirEntry, err error) error {
				if errors.Is(err, fs.ErrNotExist) {
					return nil
				}
				if err != nil || path == base {
					return err
				}
				name, err := filepath.Rel(base, path)
				if err != nil {
					return err
				}
				if _, err := os.Lstat(filepath.Join(root, name)); errors.Is(err, fs.ErrNotExist) {
					names = append(names, name)
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	slices.Sort(names)
	return slices.Compact(names), err
}

// writtenSince says whether an inode was changed since a moment; it can't be
// set to another time as a file's own time can. The zero moment is never.
func writtenSince(info fs.FileInfo, moment time.Time) bool {
	return !moment.IsZero() && !inodeTime(info).Before(moment)
}

// inodeTime is when an inode was changed last (ctime).
func inodeTime(info fs.FileInfo) time.Time {
	stat, _ := info.Sys().(*syscall.Stat_t) // what every file system of Linux gives
	return time.Unix(stat.Ctim.Unix()).UTC()
}

// putBack moves everything that was set aside back into the share, and beside
// what the others have where both differ. It goes on after an error.
//
// It happens when the share sends: Syncthing takes what comes back for a change
// of its own, newer than anything that was said of the file before. moved says
// that there was something.
func (p *pass) putBack(ctx context.Context, share string) (moved bool, err error) {
	err = p.within(func(top string) error {
		root := filepath.Join(top, config.SharesDirectory, share)
		if _, err := os.Lstat(filepath.Join(root, asideFolder)); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		moved = true
		if err := p.reunite(ctx, share); err != nil {
			return err
		}
		var problems []error
		for _, group := range []group{before, damaged, since} {
			problems = append(problems, p.putBackGroup(ctx, share, root, group))
		}
		err := os.Remove(filepath.Join(root, asideFolder))
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !p.waiting {
			problems = append(problems, err)
		}
		return errors.Join(problems...)
	})
	return moved, err
}

func (p *pass) putBackGroup(ctx context.Context, share, root string, group group) error {
	aside := filepath.Join(root, asideFolder, string(group))
	if _, err := os.Lstat(aside); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var problems []error
	var folders []string
	later := false
	err := filepath.WalkDir(aside, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(aside, path)
		if err != nil {
			return err
		}
		if !e.IsDir() {
			if err := p.putBackFile(ctx, share, root, name, group); errors.Is(err, errLater) {
				later = true
			} else if err != nil {
				problems = append(problems, fmt.Errorf("put %s back: %w", name, err))
			}
			return nil
		}
		stays, err := p.putBackFolder(ctx, share, root, path, name)
		if err != nil {
			problems = append(problems, fmt.Errorf("put %s back: %w", name, err))
		}
		if !stays {
			return filepath.SkipDir
		}
		folders = append(folders, path)
		return nil
	})
	problems = append(problems, err)
	slices.Reverse(folders)
	for _, folder := range folders {
		if err := os.Remove(folder); err != nil && len(problems) == 0 && !later {
			problems = append(problems, err)
		}
	}
	p.waiting = p.waiting || later
	return errors.Join(problems...)
}

// errLater says that what the others have isn't here yet.
var errLater = errors.New("what the others have comes first")

// putBackFolder makes a folder for what was in it. Where the others have
// something else of that name, the folder goes beside it as a whole; false
// tells so.
func (p *pass) putBackFolder(ctx context.Context, share, root, from, name string) (bool, error) {
	if name == "." {
		return true, nil
	}
	to := filepath.Join(root, name)
	known, err := p.client.entries(ctx, p.settings.Folders[share].ID, name)
	if err != nil {
		return false, err
	}
	info, err := os.Lstat(to)
	switch {
	case known.Global.exists() && known.Global.Type != folderType, err == nil && !info.IsDir():
		p.sayConflict(share, name)
		return false, p.renameConflict(from, to)
	case err == nil:
		return true, nil
	case errors.Is(err, fs.ErrNotExist):
		err = inWritable(func() error { return os.Mkdir(to, 0o770) }, filepath.Dir(to))
	}
	return err == nil, err
}

func (p *pass) putBackFile(ctx context.Context, share, root, name string, group group) error {
	from, to := filepath.Join(root, asideFolder, string(group), name), filepath.Join(root, name)
	info, err := os.Lstat(from)
	if err != nil {
		return err
	}
	known, err := p.client.entries(ctx, p.settings.Folders[share].ID, name)
	if err != nil {
		return err
	}
	others := known.Global
	same, err := isSameLink(from, to)
	if err == nil && isConflictCopy(name) { // aside whatever the others have
		same, err = isSameFile(from, to)
	}
	if err != nil {
		return err
	}
	if same {
		return os.Remove(from)
	}
	switch {
	case group != damaged && others.exists() && p.isAwaited(share, to):
		// It may never have been seen by whoever wrote here; or nobody has it any more,
		// which is known when the others' index is.
		return errLater
	case group == since && (!others.exists() || !info.ModTime().Before(others.Modified)):
		// An inode's time also changes when a backup links it or Syncthing writes its
		// name in another form: an older file is no newer version.
		return p.putBackNewer(share, from, to, name, others)
	case group != damaged && !others.exists():
		err := renameNoReplace(from, to)
		if errors.Is(err, fs.ErrExist) {
			p.sayConflict(share, name)
			err = p.renameConflict(from, to)
		}
		return err
	}
	if group == damaged || others.Type == fileType && others.Size > 0 {
		// Where nothing was stored, or can be read, there is nothing to look at
		// beside what the others have. It is kept all the same, for a while.
		empty, err := isZeros(from)
		if errors.Is(err, unix.EIO) {
			empty, err = true, nil
		}
		if err != nil {
			return err
		}
		if empty {
			return p.archive(root, from, name)
		}
	}
	p.sayConflict(share, name)
	return p.renameConflict(from, to)
}

// isSameLink says whether two links lead to the same place.
func isSameLink(a, b string) (bool, error) {
	ofA, err := os.Readlink(a)
	if errors.Is(err, unix.EINVAL) {
		return false, nil // no link
	}
	if err != nil {
		return false, err
	}
	ofB, err := os.Readlink(b)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return ofA == ofB, err
}

// isSameFile says whether two files hold the same. A place where there is none,
// or no file, holds something else.
func isSameFile(a, b string) (bool, error) {
	ofA, errA := os.Lstat(a)
	ofB, errB := os.Lstat(b)
	if errors.Is(errB, fs.ErrNotExist) {
		return false, errA
	}
	if err := errors.Join(errA, errB); err != nil || !ofA.Mode().IsRegular() || !ofB.Mode().IsRegular() || ofA.Size() != ofB.Size() {
		return false, err
	}
	var sums [2][]byte
	for i, path := range []string{a, b} {
		file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
		if err != nil {
			return false, err
		}
		hash := sha256.New()
		_, err = io.Copy(hash, file)
		file.Close()
		if err != nil {
			return false, err
		}
		sums[i] = hash.Sum(nil)
	}
	return bytes.Equal(sums[0], sums[1]), nil
}

// isConflictCopy says whether Syncthing takes a name for that of a conflict copy.
// It makes none of it: where two versions of one meet, it removes one.
func isConflictCopy(name string) bool {
	return strings.Contains(filepath.Base(name), ".sync-conflict-")
}

// setConflictCopiesAside does so with all of them, before a share begins with a
// new index: somebody may have gone on writing in one.
func (p *pass) setConflictCopiesAside(share string) error {
	var names []string
	err := p.within(func(top string) error {
		root := filepath.Join(top, config.SharesDirectory, share)
		return filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			name, _ := filepath.Rel(root, path)
			switch {
			case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
				return nil // nor does Syncthing come to it
			case err != nil:
				return err
			case e.IsDir() && (name == markerFolder || name == versionsFolder):
				return filepath.SkipDir
			case e.Type().IsRegular() && isConflictCopy(name):
				names = append(names, name)
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	return p.setAside(share, names, map[string]bool{}, func(fs.FileInfo) group { return before })
}

// isAwaited says whether what the others have is on its way to a place. It is
// until another node has told its whole index, and for a while then; a node that
// doesn't come is away, and nobody else's work waits for it.
func (p *pass) isAwaited(share, to string) bool {
	if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	if met := p.reunited[share]; !met.IsZero() {
		return time.Since(met) < p.Silence
	}
	return time.Since(p.settled[share]) < 2*reunion+p.Silence
}

// reunite notes when another node, that sends, has told everything it has of a
// share.
func (p *pass) reunite(ctx context.Context, share string) error {
	if !p.reunited[share].IsZero() {
		return nil
	}
	sources, err := p.sources(ctx, share)
	if err != nil {
		return err
	}
	for _, s := range sources {
		if s.RemoteState == "valid" && s.isWhole() && !s.account.Receives {
			p.reunited[share] = time.Now()
		}
	}
	return nil
}

// putBackNewer puts back what somebody has written since: it is the newest, and
// takes the name. What the others have stays beside it, since whoever wrote may
// never have seen it; where it isn't here, it keeps the name.
func (p *pass) putBackNewer(share, from, to, name string, others entry) error {
	if !others.exists() {
		if err := renameNoReplace(from, to); !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	info, err := os.Lstat(to)
	p.sayConflict(share, name)
	if err == nil && others.exists() && info.Mode().IsRegular() && info.Size() == others.Size && info.ModTime().Equal(others.Modified) {
		if err := rename(from, to, unix.RENAME_EXCHANGE); err != nil {
			return err
		}
	}
	return p.renameConflict(from, to)
}

func (p *pass) sayConflict(share, name string) {
	p.Log.Warn("two versions differ: one stays beside the other as a conflict copy", "share", share, "name", name)
}

// makeFolders makes a folder below another, and those on the way. What isn't a
// folder makes room as a conflict copy does.
func (p *pass) makeFolders(base, relative string) error {
	if err := inWritable(func() error { return os.MkdirAll(base, 0o770) }, filepath.Dir(filepath.Dir(base)), filepath.Dir(base)); err != nil {
		return err
	}
	path := base
	for part := range strings.SplitSeq(filepath.Clean(relative), "/") {
		path = filepath.Join(path, part)
		info, err := os.Lstat(path)
		if err == nil && info.IsDir() {
			continue
		}
		if err == nil {
			err = p.renameConflict(path, path)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := inWritable(func() error { return os.Mkdir(path, 0o770) }, filepath.Dir(path)); err != nil {
			return err
		}
	}
	return nil
}

func renameNoReplace(from, to string) error { return rename(from, to, unix.RENAME_NOREPLACE) }

func rename(from, to string, how uint) error {
	return inWritable(func() error {
		if err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, how); err != nil {
			return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
		}
		return nil
	}, filepath.Dir(from), filepath.Dir(to))
}

func removeIn(path string) error {
	return inWritable(func() error { return os.Remove(path) }, filepath.Dir(path))
}

// inWritable does something in folders, also where their owner took the right
// to write from them: Syncthing gives it to itself, and would delete what can't be
// moved.
func inWritable(do func() error, folders ...string) error {
	err := do()
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	for _, folder := range folders {
		info, err := os.Lstat(folder)
		if err != nil || !info.IsDir() || info.Mode()&0o300 == 0o300 {
			continue
		}
		if os.Chmod(folder, info.Mode()|0o700) == nil {
			defer os.Chmod(folder, info.Mode()) //nolint:errcheck // it may be gone
		}
	}
	return do()
}

// renameMarked renames a file to path with a mark that begins with prefix and
// tells the time, and ends with suffix.
func renameMarked(from, path, prefix, suffix string) error {
	for at := time.Now(); ; at = at.Add(time.Second) {
		err := renameNoReplace(from, marked(path, prefix+at.Format("20060102-150405")+suffix))
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
}

// renameConflict renames a file to a conflict copy of path, as Syncthing names
// it.
func (p *pass) renameConflict(from, path string) error {
	id, _, _ := strings.Cut(string(p.peers.IDs[p.Node]), "-")
	return renameMarked(from, path, ".sync-conflict-", "-"+id)
}

// archive moves a file to the versions that Syncthing keeps, and ends in time.
func (p *pass) archive(root, from, name string) error {
	versions := filepath.Join(root, versionsFolder)
	if err := p.makeFolders(versions, filepath.Dir(name)); err != nil {
		return err
	}
	return renameMarked(from, filepath.Join(versions, name), "~", "")
}

// marked puts a mark between a name and its extension; a name that gets too
// long loses its end.
func marked(path, mark string) string {
	const longest, longestExtension = 255, 32
	folder, name := filepath.Split(path)
	extension := filepath.Ext(name)
	if len(extension) > longestExtension {
		extension = ""
	}
	base := strings.TrimSuffix(name, extension)
	if room := longest - len(mark) - len(extension); len(base) > room {
		base = strings.ToValidUTF8(base[:room], "")
	}
	return folder + base + mark + extension
}
