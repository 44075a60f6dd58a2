package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cache is the folder that survives between builds: archives with a record of
// what they were made from, buildah's storage, compiled programs. Nothing else
// on the machine is written to, and the folder can be deleted at any time.
type cache struct {
	dir    string
	driver string // buildah's storage driver, asked once
	lock   *os.File
}

// record says what an archive in the cache is.
type record struct {
	Name     string   `json:"name"`
	Inputs   string   `json:"inputs"` // hash of all that goes into it
	Tag      string   `json:"tag"`
	Size     int64    `json:"size"`
	Packages []string `json:"packages,omitempty"` // Debian's, name and version
}

// kept is how many archives of one image the cache holds: the current one and
// those of the branches that a developer goes back and forth between.
const kept = 3

func openCache() (*cache, error) {
	root, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	c := &cache{dir: filepath.Join(root, "homecloud", "images")}
	for _, name := range []string{"archives", "binaries", "log", "tmp"} {
		if err := os.MkdirAll(c.path(name), 0o755); err != nil {
			return nil, err
		}
	}
	// One build at a time: they would make the same things twice.
	if c.lock, err = os.OpenFile(c.path("lock"), os.O_CREATE|os.O_RDWR, 0o644); err != nil {
		return nil, err
	}
	if err := unix.Flock(int(c.lock.Fd()), unix.LOCK_EX); err != nil {
		return nil, fmt.Errorf("waiting for another build: %w", err)
	}
	return c, c.sweep()
}

// sweep removes what a killed build left.
func (c *cache) sweep() error {
	left, err := filepath.Glob(c.path("tmp", "base-*"))
	if err != nil {
		return err
	}
	for _, path := range left {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	return nil
}

func (c *cache) close() error { return c.lock.Close() }

func (c *cache) path(elements ...string) string {
	return filepath.Join(append([]string{c.dir}, elements...)...)
}

func (c *cache) archive(r record) string {
	return c.path("archives", r.Name+"-"+r.Tag+".tar")
}

// record finds what was made from these inputs, if its archive is still whole.
func (c *cache) record(name, inputs string) (record, bool) {
	content, err := os.ReadFile(c.recordPath(name, inputs))
	if err != nil {
		return record{}, false
	}
	var r record
	if err := json.Unmarshal(content, &r); err != nil || r.Name != name || r.Inputs != inputs {
		return record{}, false
	}
	info, err := os.Stat(c.archive(r))
	if err != nil || info.Size() != r.Size {
		return record{}, false
	}
	// What is used is what prune keeps.
	now := time.Now()
	return r, os.Chtimes(c.recordPath(name, inputs), now, now) == nil
}

func (c *cache) recordPath(name, inputs string) string {
	return c.path("archives", name+"-"+inputs[:12]+".json")
}

func (c *cache) keep(r record) error {
	content, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(c.recordPath(r.Name, r.Inputs), append(content, '\n'), 0o644)
}

// prune forgets all but the newest archives of each image.
func (c *cache) prune() error {
	records, err := filepath.Glob(c.path("archives", "*.json"))
	if err != nil {
		return err
	}
	type entry struct {
		record
		path string
		made int64
	}
	byName := map[string][]entry{}
	for _, path := range records {
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		e := entry{path: path}
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		e.made = info.ModTime().UnixNano()
		if err := json.Unmarshal(content, &e.record); err != nil {
			return fmt.Errorf("%s: %w (remove it)", path, err)
		}
		byName[e.Name] = append(byName[e.Name], e)
	}
	used := map[string]bool{}
	for _, entries := range byName {
		slices.SortFunc(entries, func(a, b entry) int { return int(min(1, max(-1, b.made-a.made))) })
		for i, e := range entries {
			if i < kept {
				used[c.archive(e.record)] = true
			} else if err := os.Remove(e.path); err != nil {
				return err
			}
		}
	}
	archives, err := filepath.Glob(c.path("archives", "*.tar*")) // also what a killed build left
	if err != nil {
		return err
	}
	for _, path := range archives {
		if !used[path] {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	return nil
}

// inputs is a hash over named things, in order.
type inputs struct{ sum hash.Hash }

func newInputs() inputs { return inputs{sha256.New()} }

// add takes lengths along, so that no two lists of things look alike.
func (in inputs) add(name, value string) {
	fmt.Fprintf(in.sum, "%s %d\n%s\n", name, len(value), value)
}

func (in inputs) addFile(name, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	content := sha256.New()
	if _, err := io.Copy(content, file); err != nil {
		return err
	}
	in.add(name, hex.EncodeToString(content.Sum(nil)))
	return nil
}

// addFolder adds every file below a folder by its path, in lexical order.
func (in inputs) addFolder(name, dir string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		return in.addFile(name+strings.TrimPrefix(path, dir), path)
	})
}

func (in inputs) hash() string { return hex.EncodeToString(in.sum.Sum(nil)) }

// placeFile links a file, or copies it where a link can't be: the archives are
// big and never changed in place.
func placeFile(from, to string) error {
	if err := os.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if os.Link(from, to) == nil {
		return nil
	}
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.Create(to + ".partial")
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	if err := errors.Join(err, target.Close()); err != nil {
		return err
	}
	return os.Rename(to+".partial", to)
}
