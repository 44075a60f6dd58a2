// Package chart is everything homecloud knows about Helm: it loads charts,
// renders them, packages them and keeps releases. No Helm type leaves it, so
// that the linked version of Helm is a matter of this package alone. It knows
// nothing of the cluster file: values are a map when they arrive here.
package chart

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	helmchart "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"sigs.k8s.io/yaml"
)

// bufferedFile is how Helm takes files.
type bufferedFile = loader.BufferedFile

// Chart is a chart with its dependencies, as files in memory. Loading keeps
// files instead of Helm's structure, because Helm changes a chart while it
// renders it: every use starts again from the files.
type Chart struct {
	Name       string
	Version    string
	AppVersion string

	// Missing are the dependencies, of this chart and of those below it, whose
	// archive isn't in charts/.
	Missing []Missing

	meta  *helmchart.Metadata
	files map[string][]byte // all but charts/
	deps  []*Chart
	local []string // names of dependencies taken from their source directory

	archived bool // it came as an archive in charts/

	whole, stubbed *parsed // as Helm has it, without and with stand-ins for what is missing
}

func newChart() *Chart {
	return &Chart{meta: new(helmchart.Metadata), files: map[string][]byte{}, whole: new(parsed), stubbed: new(parsed)}
}

// Missing is a dependency that is declared but isn't there.
type Missing struct {
	Parent     string // path of charts that leads to it, as "homecloud/platform"
	Name       string
	Version    string
	Repository string
}

// String is "platform/longhorn 1.12.1".
func (m Missing) String() string {
	return fmt.Sprintf("%s/%s %s", path.Base(m.Parent), m.Name, m.Version)
}

// Library is a folder of charts, each in a folder of its own name.
type Library struct {
	fsys fs.FS
	root string // shown in errors
}

// Embedded is a library inside the binary.
func Embedded(fsys fs.FS) Library { return Library{fsys: fsys, root: "built-in charts"} }

// Directory is a library on disk.
func Directory(dir string) Library { return Library{root: dir} }

// Load loads the chart called name.
func (l Library) Load(name string) (*Chart, error) {
	if _, err := fs.Stat(l.files(), path.Join(name, "Chart.yaml")); err != nil {
		names, err := l.Names()
		if err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%s: no chart %q; there are %s", l.root, name, strings.Join(names, ", "))
	}
	if l.fsys == nil { // a dependency may lie outside of the folder
		return Load(filepath.Join(l.root, name))
	}
	return loadDirectory(l.fsys, name, nil)
}

func (l Library) files() fs.FS {
	if l.fsys == nil {
		return os.DirFS(l.root)
	}
	return l.fsys
}

// Names lists the charts of the library, sorted.
func (l Library) Names() ([]string, error) {
	found, err := fs.Glob(l.files(), "*/Chart.yaml")
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(found))
	for _, f := range found {
		names = append(names, path.Dir(f))
	}
	slices.Sort(names)
	if len(names) == 0 {
		return nil, fmt.Errorf("%s: no chart in there; name the folder that holds the charts' folders", l.root)
	}
	return names, nil
}

// Load loads a chart from a directory or a .tgz archive. Dependencies with a
// file:// repository come from their source directory, whatever lies in
// charts/: a stale copy can't hide an edit.
func Load(name string) (*Chart, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		content, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		c, err := loadArchive(content)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return c, nil
	}
	abs, err := filepath.Abs(name)
	if err != nil {
		return nil, err
	}
	root := filepath.VolumeName(abs) + string(filepath.Separator)
	inside, err := filepath.Rel(root, abs)
	if err != nil {
		return nil, err
	}
	c, err := loadDirectory(os.DirFS(root), filepath.ToSlash(inside), nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return c, nil
}

// loadDirectory loads the chart in dir; trail are the directories that led
// here, to end a circle of dependencies.
func loadDirectory(fsys fs.FS, dir string, trail []string) (*Chart, error) {
	if slices.Contains(trail, dir) {
		return nil, fmt.Errorf("chart %s depends on itself: %s", path.Base(dir), strings.Join(append(trail, dir), " → "))
	}
	files, err := readDirectory(fsys, dir)
	if err != nil {
		return nil, err
	}
	return assemble(files, func(repository string) (*Chart, error) {
		return loadDirectory(fsys, path.Join(dir, repository), append(slices.Clone(trail), dir))
	})
}

func loadArchive(content []byte) (*Chart, error) {
	buffered, err := loader.LoadArchiveFiles(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	files := make(map[string][]byte, len(buffered))
	for _, f := range buffered {
		files[f.Name] = f.Data
	}
	return assemble(files, nil)
}

// assemble makes a chart of its files. source loads a file:// dependency; it
// is nil inside an archive, where such a dependency has to be in charts/.
func assemble(files map[string][]byte, source func(repository string) (*Chart, error)) (*Chart, error) {
	c := newChart()
	content, ok := files["Chart.yaml"]
	if !ok {
		return nil, errors.New("no Chart.yaml: this isn't a chart")
	}
	if err := yaml.Unmarshal(content, c.meta); err != nil {
		return nil, fmt.Errorf("in Chart.yaml: %w", err)
	}
	if err := c.meta.Validate(); err != nil {
		return nil, fmt.Errorf("in Chart.yaml: %w", err)
	}
	c.Name, c.Version, c.AppVersion = c.meta.Name, c.meta.Version, c.meta.AppVersion

	vendored := map[string]map[string][]byte{} // charts/<entry> → its files
	for name, data := range files {
		rest, inside := strings.CutPrefix(name, "charts/")
		if !inside {
			c.files[name] = data
			continue
		}
		entry, file, _ := strings.Cut(rest, "/")
		if strings.HasPrefix(entry, "_") || strings.HasPrefix(entry, ".") {
			continue
		}
		if vendored[entry] == nil {
			vendored[entry] = map[string][]byte{}
		}
		vendored[entry][file] = data
	}

	byName := map[string]*Chart{}
	for _, dep := range c.meta.Dependencies {
		repository, isFile := strings.CutPrefix(dep.Repository, "file://")
		if !isFile || source == nil {
			continue
		}
		sub, err := source(repository)
		if err != nil {
			return nil, fmt.Errorf("dependency %s: %w", dep.Name, err)
		}
		if sub.Name != dep.Name || !satisfies(sub.Version, dep.Version) {
			return nil, fmt.Errorf("dependency %s %s: %s holds %s %s", dep.Name, dep.Version, dep.Repository, sub.Name, sub.Version)
		}
		byName[dep.Name] = sub
		c.local = append(c.local, dep.Name)
	}
	for _, entry := range slices.Sorted(maps.Keys(vendored)) {
		sub, err := loadVendored(entry, vendored[entry])
		if err != nil {
			return nil, fmt.Errorf("charts/%s: %w", entry, err)
		}
		if sub != nil && !slices.Contains(c.local, sub.Name) && byName[sub.Name] == nil {
			byName[sub.Name] = sub
		}
	}
	c.adopt(byName)
	return c, nil
}

// adopt puts the dependencies in the order of Chart.yaml, then those that are
// only in charts/, and notes the ones that aren't there.
func (c *Chart) adopt(byName map[string]*Chart) {
	for _, dep := range c.meta.Dependencies {
		sub, ok := byName[dep.Name]
		switch {
		case !ok || !satisfies(sub.Version, dep.Version):
			c.Missing = append(c.Missing, Missing{Parent: c.Name, Name: dep.Name, Version: dep.Version, Repository: dep.Repository})
		case !slices.Contains(c.deps, sub):
			c.deps = append(c.deps, sub)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		if !slices.Contains(c.deps, byName[name]) && !c.declares(name) {
			c.deps = append(c.deps, byName[name])
		}
	}
	for _, sub := range c.deps {
		for _, m := range sub.Missing {
			m.Parent = c.Name + "/" + m.Parent
			c.Missing = append(c.Missing, m)
		}
	}
}

func (c *Chart) declares(name string) bool {
	return slices.ContainsFunc(c.meta.Dependencies, func(d *helmchart.Dependency) bool { return d.Name == name })
}

// loadVendored loads what lies in charts/: an archive, a directory, or
// nothing that is a chart (then nil).
func loadVendored(entry string, files map[string][]byte) (*Chart, error) {
	if content, ok := files[""]; ok {
		if path.Ext(entry) != ".tgz" {
			return nil, nil
		}
		c, err := loadArchive(content)
		if err == nil {
			c.archived = true
		}
		return c, err
	}
	return assemble(files, nil)
}

// flatten gives the chart and everything below it as one list of files, in
// the layout of an unpacked chart.
func (c *Chart) flatten() []*bufferedFile {
	var list []*bufferedFile
	for _, name := range slices.Sorted(maps.Keys(c.files)) {
		list = append(list, &bufferedFile{Name: name, Data: c.files[name]})
	}
	for _, sub := range c.deps {
		for _, f := range sub.flatten() {
			list = append(list, &bufferedFile{Name: path.Join("charts", sub.Name, f.Name), Data: f.Data})
		}
	}
	return list
}

// helm makes the structure Helm works with, a fresh one at each call.
func (c *Chart) helm() (*helmchart.Chart, error) { return c.whole.of(c) }

// DefaultValues is the text of values.yaml.
func (c *Chart) DefaultValues() []byte { return c.files["values.yaml"] }

// Schema is the text of values.schema.json; nil: there is none.
func (c *Chart) Schema() []byte { return c.files["values.schema.json"] }

// Description is what Chart.yaml says the chart is.
func (c *Chart) Description() string { return c.meta.Description }

// Licence is the SPDX expression that Chart.yaml gives as Artifact Hub's
// annotation; empty: not known.
func (c *Chart) Licence() string { return c.meta.Annotations["artifacthub.io/license"] }

// Dependencies are the charts right below this one.
func (c *Chart) Dependencies() []*Chart { return slices.Clone(c.deps) }

// Own are the charts right below this one that are developed with it: neither an
// archive, nor from a repository elsewhere.
func (c *Chart) Own() (own []*Chart) {
	for _, sub := range c.deps {
		elsewhere := slices.ContainsFunc(c.meta.Dependencies, func(d *helmchart.Dependency) bool {
			return d.Name == sub.Name && d.Repository != "" && !strings.HasPrefix(d.Repository, "file://")
		})
		if !sub.archived && !elsewhere {
			own = append(own, sub)
		}
	}
	return own
}

// CalledAs are the names that a chart right below this one has in it: its own, or
// aliases.
func (c *Chart) CalledAs(sub *Chart) (names []string) {
	for _, dep := range c.meta.Dependencies {
		if dep.Name == sub.Name {
			names = append(names, cmp.Or(dep.Alias, dep.Name))
		}
	}
	if names == nil {
		names = []string{sub.Name}
	}
	return names
}

// Dependency returns the chart of that name right below this one, or nil.
func (c *Chart) Dependency(name string) *Chart {
	for _, sub := range c.deps {
		if sub.Name == name {
			return sub
		}
	}
	return nil
}

// AllValues is what the chart's values are without anybody's: its own, and
// those of the charts below it under their names.
func (c *Chart) AllValues() (map[string]any, error) {
	all := map[string]any{}
	if err := yaml.Unmarshal(c.DefaultValues(), &all); err != nil {
		return nil, fmt.Errorf("chart %s: values.yaml: %w", c.Name, err)
	}
	for _, sub := range c.deps {
		below, err := sub.AllValues()
		if err != nil {
			return nil, err
		}
		own, _ := all[sub.Name].(map[string]any)
		all[sub.Name] = chartutil.CoalesceTables(maps.Clone(own), below)
	}
	return all, nil
}

// satisfies says whether a version meets a constraint, the way Helm asks it.
func satisfies(version, constraint string) bool {
	if constraint == "" {
		return true
	}
	wanted, err := semver.NewConstraint(constraint)
	if err != nil {
		return false
	}
	v, err := semver.NewVersion(version)
	return err == nil && wanted.Check(v)
}

// IsLibrary says whether the chart only serves others and installs nothing.
func (c *Chart) IsLibrary() bool { return c.meta.Type == "library" }
