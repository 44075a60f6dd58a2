package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tmorin/homecloud/internal/config/v1alpha1"
)

// Load reads a cluster file ("-" is standard input) and the lock beside it.
// An invalid file is an *InvalidError.
func Load(path string) (*Cluster, error) { return LoadFrom(path, os.Stdin) }

// LoadFrom is Load with another standard input.
func LoadFrom(path string, stdin io.Reader) (*Cluster, error) {
	cluster, err := read(path, stdin)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s does not exist; hcchart init writes one, --file names another", path)
	case err != nil:
		return nil, err
	}
	lock, err := readFile(LockPath(path))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the lock file: %w", err)
	}
	return Parse(path, cluster, lock)
}

func read(path string, stdin io.Reader) ([]byte, error) {
	if path == "-" {
		content, err := io.ReadAll(io.LimitReader(stdin, sizeLimit+1))
		if err != nil {
			return nil, fmt.Errorf("read standard input: %w", err)
		}
		return content, nil
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil, fmt.Errorf("%s is a directory; name the file in it, such as %s", path, filepath.Join(path, "homecloud.yaml"))
	}
	content, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the cluster file: %w", err)
	}
	return content, nil
}

// readFile reads no more than it takes to see that a file is too large.
func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, sizeLimit+1))
}

// Parse turns the text of a cluster file and of its lock (nil: none) into the
// internal type: versioned types, defaults, validation. It is a pure function.
// An invalid file is an *InvalidError that holds every error.
func Parse(name string, cluster, lock []byte) (*Cluster, error) {
	c := &check{file: newDocument(name, "remove it, and hcchart init writes one"), lock: newDocument(LockPath(name), "remove it"), factPath: map[string]string{}}
	var file v1alpha1.Cluster
	parsed := c.file.parse(cluster)
	if parsed {
		c.file.decode(&file)
	}
	var facts v1alpha1.Lock
	if lock != nil && c.lock.parse(lock) {
		c.lock.decode(&facts)
	}
	if parsed {
		c.in, c.facts = &file, &facts
		c.run()
	}
	findings := append(c.file.findings, c.lock.findings...)
	warnings := sortFindings(c.warnings, c.file.file)
	if len(findings) > 0 {
		return nil, &InvalidError{Findings: sortFindings(findings, c.file.file), Warnings: warnings}
	}
	c.out.Warnings = warnings
	return &c.out, nil
}
