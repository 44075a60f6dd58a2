package chart

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"helm.sh/helm/v3/pkg/ignore"
)

// maxDepth ends a circle of symbolic links.
const maxDepth = 20

// readDirectory reads the files of a chart, without those .helmignore names.
// Symbolic links are followed, as Helm does.
func readDirectory(fsys fs.FS, dir string) (map[string][]byte, error) {
	rules := ignore.Empty()
	content, err := fs.ReadFile(fsys, path.Join(dir, ignore.HelmIgnore))
	switch {
	case err == nil:
		if rules, err = ignore.Parse(bytes.NewReader(content)); err != nil {
			return nil, fmt.Errorf("%s: %w", ignore.HelmIgnore, err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	rules.AddDefaults()

	r := directoryReader{fsys: fsys, rules: rules, files: map[string][]byte{}}
	if err := r.read(dir, "", 0); err != nil {
		return nil, err
	}
	return r.files, nil
}

type directoryReader struct {
	fsys  fs.FS
	rules *ignore.Rules
	files map[string][]byte
}

// read reads the folder at, whose name inside the chart is below.
func (r *directoryReader) read(at, below string, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%s: folders nested deeper than %d: a circle of links?", below, maxDepth)
	}
	entries, err := fs.ReadDir(r.fsys, at)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		file, name := path.Join(at, entry.Name()), path.Join(below, entry.Name())
		info, err := fs.Stat(r.fsys, file)
		if err != nil {
			return err
		}
		switch {
		case r.rules.Ignore(name, info):
		case info.IsDir():
			if err := r.read(file, name, depth+1); err != nil {
				return err
			}
		case !info.Mode().IsRegular():
			return fmt.Errorf("%s: not a regular file", name)
		default:
			content, err := fs.ReadFile(r.fsys, file)
			if err != nil {
				return err
			}
			r.files[name] = bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))
		}
	}
	return nil
}
