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
	// The kubelet removes the old version right after it made the new one the
	// current one; then the next try finds that.
	for attempt := 0; ; attempt++ {
		files, err := readVersion(folder)
		if err == nil || attempt == 3 || !errors.Is(err, os.ErrNotExist) {
			return files, err
		}
	}
}

func readVersion(folder string) (map[string][]byte, error) {
	version := folder
	if target, err := os.Readlink(filepath.Join(folder, "..data")); err == nil {
		version = filepath.Join(folder, target)
	}
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
	return true, nil
}
