package chart

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	helmchart "helm.sh/helm/v3/pkg/chart"
	"sigs.k8s.io/yaml"
)

// packagedAt is the time every archive and every file in it carries: the same
// sources give the same bytes, on every day and machine.
var packagedAt = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// Archive is a packaged chart.
type Archive struct {
	Name    string // homecloud-0.1.0.tgz
	Content []byte
	Chart   *Chart // what is inside
}

// Package makes the archive of a chart with its dependencies inside, so that
// it installs alone. The dependencies called without are left out, wherever in
// the tree they are: gone from Chart.yaml, and enabling them is an error of the
// schema. Any other dependency has to be there.
func (c *Chart) Package(without ...string) (*Archive, error) {
	packed, err := c.packed(without)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := packed.write(&b); err != nil {
		return nil, err
	}
	return &Archive{Name: fmt.Sprintf("%s-%s.tgz", c.Name, c.Version), Content: b.Bytes(), Chart: packed}, nil
}

// Unpacked gives the files of the archive that Package makes, by their path in
// the chart.
func (c *Chart) Unpacked(without ...string) (map[string][]byte, error) {
	packed, err := c.packed(without)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, f := range packed.flatten() {
		files[f.Name] = f.Data
	}
	return files, nil
}

func (c *Chart) packed(without []string) (*Chart, error) {
	for _, name := range without {
		if !c.has(name) {
			return nil, fmt.Errorf("chart %s has no dependency %q to leave out", c.Name, name)
		}
	}
	packed, err := c.pack(without)
	if err != nil {
		return nil, err
	}
	_, err = packed.helm()
	return packed, err
}

// DependsOn lists the names of all dependencies in the tree, sorted.
func (c *Chart) DependsOn() []string {
	var names []string
	for _, dep := range c.meta.Dependencies {
		names = append(names, dep.Name)
	}
	for _, sub := range c.deps {
		names = append(names, sub.DependsOn()...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (c *Chart) has(name string) bool { return slices.Contains(c.DependsOn(), name) }

// pack gives the chart as its archive holds it. Charts that bring their own
// archive (third-party ones) stay as they are.
func (c *Chart) pack(without []string) (*Chart, error) {
	var errs []error
	p := newChart()
	p.Name, p.Version, p.AppVersion = c.Name, c.Version, c.AppVersion
	*p.meta = *c.meta
	p.meta.Dependencies = nil
	for name, data := range c.files {
		p.files[name] = data
	}
	changed := false
	var locked []*helmchart.Dependency
	for _, declared := range c.meta.Dependencies {
		dep := *declared
		sub := c.Dependency(dep.Name)
		switch {
		case slices.Contains(without, dep.Name):
			changed = true
			if err := p.refuse(dep); err != nil {
				errs = append(errs, err)
			}
			continue
		case sub == nil:
			errs = append(errs, fmt.Errorf("chart %s: dependency %s %s isn't downloaded; run `helm dependency build` in %s's folder, or leave it out with --without %s", c.Name, dep.Name, dep.Version, c.Name, dep.Name))
			continue
		}
		if slices.Contains(c.local, dep.Name) {
			changed = true
			dep.Repository = "" // it is in charts/, and its source isn't here any more
			dep.Version = sub.Version
		}
		p.meta.Dependencies = append(p.meta.Dependencies, &dep)
		locked = append(locked, &helmchart.Dependency{Name: dep.Name, Version: sub.Version, Repository: dep.Repository})
	}
	for _, sub := range c.deps {
		if slices.Contains(without, sub.Name) {
			continue
		}
		packed, err := sub.pack(without)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		p.deps = append(p.deps, packed)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if !changed {
		return p, nil
	}

	text, err := yaml.Marshal(p.meta)
	if err != nil {
		return nil, err
	}
	p.files["Chart.yaml"] = text
	delete(p.files, "Chart.lock")
	if len(locked) > 0 {
		if p.files["Chart.lock"], err = lock(p.meta.Dependencies, locked); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// lock writes Chart.lock as Helm does: the digest is the one it compares.
func lock(wanted, locked []*helmchart.Dependency) ([]byte, error) {
	text, err := json.Marshal([2][]*helmchart.Dependency{wanted, locked})
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(text)
	return yaml.Marshal(&helmchart.Lock{
		Generated:    packagedAt,
		Digest:       "sha256:" + hex.EncodeToString(sum[:]),
		Dependencies: locked,
	})
}

// refuse makes the schema reject values that enable the dependency.
func (c *Chart) refuse(dep helmchart.Dependency) error {
	schema := map[string]any{"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"}
	if content, ok := c.files["values.schema.json"]; ok {
		schema = map[string]any{}
		if err := json.Unmarshal(content, &schema); err != nil {
			return fmt.Errorf("chart %s: values.schema.json: %w", c.Name, err)
		}
	}
	rules, _ := schema["allOf"].([]any)
	for condition := range strings.SplitSeq(dep.Condition, ",") {
		if condition = strings.TrimSpace(condition); condition == "" {
			return fmt.Errorf("chart %s: dependency %s has no condition, so that it can't be left out", c.Name, dep.Name)
		}
		var rule any = map[string]any{"const": false, "description": dep.Name + " isn't in this package of the chart."}
		keys := strings.Split(condition, ".")
		for _, key := range slices.Backward(keys) {
			rule = map[string]any{"properties": map[string]any{key: rule}}
		}
		rules = append(rules, rule)
	}
	schema["allOf"] = rules
	text, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		return err
	}
	c.files["values.schema.json"] = append(text, '\n')
	return nil
}

// write writes the archive: sorted, Chart.yaml first for whoever reads only
// the beginning.
func (c *Chart) write(out io.Writer) error {
	zipped, err := gzip.NewWriterLevel(out, gzip.BestCompression)
	if err != nil {
		return err
	}
	zipped.Comment = "Helm"
	archive := tar.NewWriter(zipped)
	files := c.flatten()
	slices.SortFunc(files, func(a, b *bufferedFile) int {
		return strings.Compare(rank(a.Name), rank(b.Name))
	})
	for _, f := range files {
		header := &tar.Header{
			Name:    path.Join(c.Name, f.Name),
			Mode:    0o644,
			Size:    int64(len(f.Data)),
			ModTime: packagedAt,
		}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if _, err := archive.Write(f.Data); err != nil {
			return err
		}
	}
	if err := archive.Close(); err != nil {
		return err
	}
	return zipped.Close()
}

func rank(name string) string {
	if name == "Chart.yaml" {
		return ""
	}
	return name
}
