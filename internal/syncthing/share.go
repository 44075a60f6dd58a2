package syncthing

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/mounted"
)

// markerFolder is Syncthing's own name, so that Syncthing and the other doors
// hide it.
const markerFolder = ".stfolder"

// versionsFolder is where Syncthing keeps what it replaces and deletes.
const versionsFolder = ".stversions"

// markerName is what Syncthing must find in a share before it believes what
// is there, and what isn't. It names the disk's generation: on another disk
// Syncthing stops by itself, before anybody had time to tell it, and it never
// makes a marker of this name (it only makes its default one).
func markerName(generation string) string { return markerFolder + "/" + generation }

// ignoreFile tells Syncthing what not to send; it is never sent itself.
const ignoreFile = ".stignore"

// ignored is what belongs to one node or one program. (?d): may go with the
// folder it lies in.
const ignored = `// Written by homecloud.
(?d).stfolder.removed-*
(?d).Radicale.cache
(?d).Radicale.lock
(?d).Radicale.tmp-*
(?d).recycle
(?d).davmerge.tmp
(?d)~$*
(?d).~lock.*#
(?d).DS_Store
(?d)._*
`

// makeShare makes the folder of a share, if need be, and its marker. top is
// the top folder of the disk.
func makeShare(top, share, generation string) error {
	path := filepath.Join(top, config.SharesDirectory, share)
	for _, folder := range []string{path, filepath.Join(path, markerFolder)} {
		if err := os.Mkdir(folder, 0o770); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	if err := takeBackMarkers(path); err != nil {
		return err
	}
	marker, err := os.OpenFile(filepath.Join(path, markerName(generation)), os.O_WRONLY|os.O_CREATE, 0o660)
	if err != nil {
		return err
	}
	const text = "Syncthing doesn't believe an empty folder without this file. Do not delete it.\n"
	_, err = marker.WriteString(text)
	return errors.Join(err, marker.Sync(), marker.Close())
}

// takeBackMarkers cleans up after Syncthing, which renames our marker folder
// when it forgets a folder. What was set aside goes on waiting; of the rest
// only markers are removed.
func takeBackMarkers(path string) error {
	renamed, err := filepath.Glob(filepath.Join(path, markerFolder+".removed-*"))
	if err != nil {
		return err
	}
	for _, folder := range renamed {
		err := renameNoReplace(filepath.Join(folder, filepath.Base(asideFolder)), filepath.Join(path, asideFolder))
		if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, os.ErrExist) {
			return err
		}
		markers, err := filepath.Glob(filepath.Join(folder, strings.Repeat("[0-9a-f]", 32)))
		if err != nil {
			return err
		}
		for _, marker := range markers {
			if err := os.Remove(marker); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
		_ = os.Remove(folder) // unless somebody has put something there
	}
	return nil
}

// errVanished is the error of a share of which nothing is on the disk any more.
var errVanished = errors.New("has vanished from the disk")

// checkShare returns why a share that has been on this disk is no longer.
func checkShare(top, share, generation string) error {
	path := filepath.Join(top, config.SharesDirectory, share)
	for _, needed := range []struct {
		path     string
		vanished error
	}{{path, errVanished}, {filepath.Join(path, markerName(generation)), errors.New(errVanished.Error())}} {
		if _, err := os.Lstat(needed.path); err != nil {
			if !errors.Is(err, os.ErrNotExist) {
				return err
			}
			return fmt.Errorf("%s %w; nothing is sent or made anew: in this node's container `reconcile`, run `/agent/homecloud-agent syncthing renew %s`, and the share keeps what it holds and takes what it lacks from the other nodes",
				strings.TrimPrefix(needed.path, top+"/"), needed.vanished, share)
		}
	}
	return nil
}

// holdsData says whether a share's folder holds anything but our own files.
func holdsData(top, share string) (bool, error) {
	entries, err := os.ReadDir(filepath.Join(top, config.SharesDirectory, share))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	for _, entry := range entries {
		switch entry.Name() {
		case markerFolder, ignoreFile, versionsFolder:
		default:
			return true, nil
		}
	}
	return err == nil && isAside(top, share), err
}

// isAside says whether something of a share waits to be put back.
func isAside(top, share string) bool {
	folders, err := filepath.Glob(filepath.Join(top, config.SharesDirectory, share, markerFolder+"*", filepath.Base(asideFolder)))
	return err == nil && len(folders) > 0
}

// writeIgnores reports whether the share's list of what isn't sent changed.
func writeIgnores(top, share string) (bool, error) {
	return mounted.Replace(filepath.Join(top, config.SharesDirectory, share, ignoreFile), []byte(ignored), 0o660)
}
