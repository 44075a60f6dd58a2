// Package mounted reads ConfigMaps and Secrets that are mounted as folders, and
// replaces files that other processes read.
package mounted

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Read returns the files of a mounted ConfigMap or Secret by name. The kubelet
// replaces all of them at once, by a link named ..data: Read never mixes two
// versions.
func Read(folder string) (map[string][]byte, error) {
	for attempt := 1; ; attempt++ {
		version := current(folder)
		files, err := readVersion(folder, version)
		if current(folder) == version || attempt == attempts {
			return files, err
		}
		// The kubelet removes a version as soon as it isn't the current one any
		// more: what was read may be half of it.
	}
}

const attempts = 100

// current is where the current version lies; the folder itself when it isn't
// one of the kubelet's.
func current(folder string) string {
	if target, err := os.Readlink(filepath.Join(folder, "..data")); err == nil {
		return filepath.Join(folder, target)
	}
	return folder
}

func readVersion(folder, version string) (map[string][]byte, error) {
	entries, err := os.ReadDir(version)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", folder, err)
	}
	files := map[string][]byte{}
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasPrefix(name, "..") {
			continue
		}
		path := filepath.Join(version, name)
		if info, err := os.Stat(path); err != nil || info.IsDir() {
			if err != nil {
				return nil, fmt.Errorf("read %s: %w", folder, err)
			}
			continue
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", folder, err)
		}
		files[name] = content
	}
	return files, nil
}

// Replace puts content in place of a file in one step and reports whether
// anything changed. A file that already is as wanted isn't touched.
func Replace(path string, content []byte, mode os.FileMode) (changed bool, err error) {
	if info, err := os.Stat(path); err == nil && info.Mode().Perm() == mode {
		if existing, err := os.ReadFile(path); err == nil && string(existing) == string(content) {
			return false, nil
		}
	}
	temporary := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
	// One that a killed process left may have another mode.
	if err := os.Remove(temporary); err != nil && !errors.Is(err, os.ErrNotExist) {
		return false, fmt.Errorf("write %s: %w", path, err)
	}
	file, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return false, fmt.Errorf("write %s: %w", path, err)
	}
	_, err = file.Write(content)
	err = errors.Join(err, file.Chmod(mode), file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		return false, fmt.Errorf("write %s: %w", path, errors.Join(err, os.Remove(temporary)))
	}
	if err := syncFolder(filepath.Dir(path)); err != nil {
		return true, fmt.Errorf("write %s: %w", path, err)
	}
	return true, nil
}

// syncFolder makes a rename outlast a loss of power.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
