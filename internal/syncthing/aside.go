package syncthing

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tmorin/homecloud/internal/config"
)

// asideFolder is where what must not be reverted waits, within a share: the
// same file system, and neither Syncthing nor a door shows it.
const asideFolder = markerFolder + "/aside"

// setAside moves what lies on the disk out of Syncthing's sight. Of a folder
// only the name is noted: what is in it is listed by itself.
func (p *pass) setAside(share string, entries []entry) error {
	if len(entries) == 0 {
		return nil
	}
	return p.within(func(top string) error {
		root := filepath.Join(top, config.SharesDirectory, share)
		for _, e := range entries {
			from, to := filepath.Join(root, e.Name), filepath.Join(root, asideFolder, e.Name)
			p.Log.Debug("set aside", "share", share, "name", e.Name)
			if e.Type == folderType {
				if err := os.MkdirAll(to, 0o770); err != nil {
					return err
				}
				continue
			}
			if err := os.MkdirAll(filepath.Dir(to), 0o770); err != nil {
				return err
			}
			err := renameNoReplace(from, to)
			if errors.Is(err, fs.ErrExist) {
				// Written anew since an interrupted attempt: both are kept.
				err = renameConflict(from, to, p.shortID())
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		return nil
	})
}

// putBack moves everything that was set aside back into the share, and beside
// what the others have where both differ. Nothing that exists is overwritten
// but a copy of what the others have.
func (p *pass) putBack(ctx context.Context, share string, memory shareState) error {
	return p.within(func(top string) error {
		root := filepath.Join(top, config.SharesDirectory, share)
		aside := filepath.Join(root, asideFolder)
		var folders []string
		err := filepath.WalkDir(aside, func(path string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			name, err := filepath.Rel(aside, path)
			if err != nil {
				return err
			}
			if !e.IsDir() {
				return p.putBackFile(ctx, share, root, name, memory.Since)
			}
			folders = append(folders, path)
			return makeFolder(filepath.Join(root, name), p.shortID())
		})
		if errors.Is(err, fs.ErrNotExist) {
			if _, missing := os.Lstat(aside); errors.Is(missing, fs.ErrNotExist) {
				return nil
			}
		}
		for i := len(folders) - 1; i >= 0 && err == nil; i-- {
			err = os.Remove(folders[i])
		}
		return err
	})
}

// makeFolder makes a folder where there is none. Something else that has its
// name makes room as a conflict copy does.
func makeFolder(path, by string) error {
	info, err := os.Lstat(path)
	switch {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		if err := renameConflict(path, path, by); err != nil {
			return err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return os.Mkdir(path, 0o770)
}

func (p *pass) putBackFile(ctx context.Context, share, root, name string, since time.Time) error {
	from, to := filepath.Join(root, asideFolder, name), filepath.Join(root, name)
	info, err := os.Lstat(from)
	if err != nil {
		return err
	}
	known, err := p.client.entries(ctx, p.settings.Folders[share].ID, name)
	if err != nil {
		return err
	}
	others := known.Global
	if !others.exists() {
		return p.putBeside(share, from, to, name, false)
	}
	if info.Mode().IsRegular() && others.Type == fileType && others.Size > 0 {
		zeros, err := isZeros(from)
		switch {
		case errors.Is(err, unix.EIO):
			// Nobody can read it, and the others have it. It stays where nothing is
			// sent.
			p.Log.Warn("a file can't be read; another node has it", "share", share, "file", name, "kept in", versionsFolder)
			to = filepath.Join(root, versionsFolder, name)
			if err := os.MkdirAll(filepath.Dir(to), 0o770); err != nil {
				return err
			}
			return renameConflict(from, to, p.shortID())
		case err != nil:
			return err
		case zeros:
			// What was never stored says nothing that the others' version doesn't.
			return os.Remove(from)
		}
	}
	if info.ModTime().Before(since) {
		return p.putBeside(share, from, to, name, true)
	}
	// Somebody has changed it since: it is the newest.
	err = renameNoReplace(from, to)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_EXCHANGE); err != nil {
		return err
	}
	replaced, err := os.Lstat(from)
	if err != nil {
		return err
	}
	if replaced.Mode().IsRegular() && replaced.Size() == others.Size && replaced.ModTime().Equal(others.Modified) {
		return os.Remove(from)
	}
	return p.putBeside(share, from, to, name, true)
}

// putBeside puts a file back under its own name or, when that is not to be
// or taken, as a conflict copy.
func (p *pass) putBeside(share, from, to, name string, conflict bool) error {
	if !conflict {
		if err := renameNoReplace(from, to); !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	p.Log.Warn("two versions of a file differ: one stays beside the other as a conflict copy", "share", share, "file", name)
	return renameConflict(from, to, p.shortID())
}

func renameNoReplace(from, to string) error {
	if err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE); err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

// renameConflict renames a file to a conflict copy of path.
func renameConflict(from, path, by string) error {
	for at := time.Now(); ; at = at.Add(time.Second) {
		err := renameNoReplace(from, conflictName(path, at, by))
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
}

// conflictName is the name that Syncthing gives to a conflict copy.
func conflictName(path string, at time.Time, by string) string {
	folder, name := filepath.Split(path)
	extension := filepath.Ext(name)
	mark := fmt.Sprintf(".sync-conflict-%s-%s", at.Format("20060102-150405"), by)
	const longest = 255
	base := strings.TrimSuffix(name, extension)
	if room := longest - len(mark) - len(extension); room > 0 && len(base) > room {
		base = strings.ToValidUTF8(base[:room], "")
	}
	return folder + base + mark + extension
}

// shortID is how Syncthing names a device in a conflict copy.
func (p *pass) shortID() string {
	id, _, _ := strings.Cut(string(p.peers.IDs[p.Node]), "-")
	return id
}
