package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// edit replaces one scalar of a chart's values.
type edit struct {
	path         string // seen from the project's folder
	key          string // for a person: dnas.samba.image.tag
	line, column int    // where the old text begins, from 1
	old, new     string // as written in the file
}

// factsPath is what hcchart knows about our images at run time, seen from the
// project's folder.
const factsPath = "internal/imageset/ours.yaml"

// generate makes the charts' values name the production references, and tells
// hcchart what the images are. Of values only the scalars themselves are
// touched: comments and layout are people's.
func generate(out io.Writer, dir string, list *List, check bool) error {
	edits, err := findEdits(dir, list)
	if err != nil {
		return err
	}
	facts, err := list.facts()
	if err != nil {
		return err
	}
	old, err := os.ReadFile(filepath.Join(dir, factsPath))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	stale := !bytes.Equal(old, facts)
	if check {
		var errs []error
		if stale {
			errs = append(errs, fmt.Errorf("%s: isn't what images/images.yaml says", factsPath))
		}
		for _, e := range edits {
			errs = append(errs, fmt.Errorf("%s:%d: %s is %s, images/images.yaml says %s", e.path, e.line, e.key, e.old, e.new))
		}
		if len(errs) > 0 {
			return errors.Join(append(errs, errors.New("run: go run ./images generate"))...)
		}
		return nil
	}
	byFile := map[string][]edit{}
	for _, e := range edits {
		byFile[e.path] = append(byFile[e.path], e)
	}
	for path, edits := range byFile {
		full := filepath.Join(dir, path)
		content, err := os.ReadFile(full)
		if err != nil {
			return err
		}
		if err := os.WriteFile(full, apply(content, edits), 0o644); err != nil {
			return err
		}
	}
	for _, e := range edits {
		fmt.Fprintf(out, "%s:%d: %s: %s\n", e.path, e.line, e.key, e.new)
	}
	if stale {
		fmt.Fprintln(out, factsPath)
		return os.WriteFile(filepath.Join(dir, factsPath), facts, 0o644)
	}
	return nil
}

// facts is what hcchart has built in: an image's names, licence and
// architectures.
func (l *List) facts() ([]byte, error) {
	type facts struct {
		Repositories  []string `yaml:"repositories,flow"`
		Licence       string   `yaml:"licence"`
		Architectures []string `yaml:"architectures,flow"`
	}
	var all []facts
	for _, image := range l.Images {
		all = append(all, facts{[]string{image.Production.Repository, localRepository + image.Name}, image.Licence, image.Architectures})
	}
	var text bytes.Buffer
	text.WriteString("# Written from images/images.yaml by `go run ./images generate`.\n")
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	if err := encoder.Encode(all); err != nil {
		return nil, err
	}
	return text.Bytes(), encoder.Close()
}

// findEdits compares the list with the charts. Each value must be there
// already: a chart's author decides where an image is named.
func findEdits(dir string, list *List) ([]edit, error) {
	var edits []edit
	var errs []error
	documents := map[string]*yaml.Node{}
	for _, image := range list.Images {
		for _, value := range image.Values {
			chart, rest, _ := strings.Cut(value, ".")
			path := filepath.Join("charts", chart, "values.yaml")
			if documents[path] == nil {
				content, err := os.ReadFile(filepath.Join(dir, path))
				if err != nil {
					return nil, err
				}
				documents[path] = &yaml.Node{}
				if err := yaml.Unmarshal(content, documents[path]); err != nil {
					return nil, fmt.Errorf("%s: %w", path, err)
				}
			}
			for _, field := range []struct{ key, want string }{
				{"repository", image.Production.Repository},
				{"tag", image.Production.Tag},
			} {
				node, err := lookUp(documents[path], append(strings.Split(rest, "."), field.key))
				if err != nil {
					errs = append(errs, fmt.Errorf("%s: %s.%s: %w", path, value, field.key, err))
					continue
				}
				if node.Value == field.want && node.Tag == "!!str" {
					continue
				}
				edits = append(edits, edit{
					path: path, key: value + "." + field.key, line: node.Line, column: node.Column,
					old: written(node), new: plain(field.want),
				})
			}
		}
	}
	return edits, errors.Join(errs...)
}

func lookUp(node *yaml.Node, keys []string) (*yaml.Node, error) {
	if node.Kind == yaml.DocumentNode {
		node = node.Content[0]
	}
	for i, key := range keys {
		found := -1
		for j := 0; node.Kind == yaml.MappingNode && j+1 < len(node.Content); j += 2 {
			if node.Content[j].Value == key {
				found = j + 1
			}
		}
		if found < 0 {
			return nil, fmt.Errorf("there is no %s", strings.Join(keys[:i+1], "."))
		}
		node = node.Content[found]
	}
	if node.Kind != yaml.ScalarNode || node.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 || node.Anchor != "" {
		return nil, fmt.Errorf("line %d: a plain or quoted word is expected", node.Line)
	}
	return node, nil
}

// written is a one-line scalar as it stands in the file. References hold
// nothing that quoting would escape.
func written(node *yaml.Node) string {
	switch {
	case node.Style&yaml.DoubleQuotedStyle != 0:
		return `"` + node.Value + `"`
	case node.Style&yaml.SingleQuotedStyle != 0:
		return "'" + node.Value + "'"
	default:
		return node.Value
	}
}

// plain writes a text so that YAML reads a text: 1.30 must not become 1.3.
func plain(text string) string {
	var node yaml.Node
	if err := yaml.Unmarshal([]byte(text), &node); err == nil && len(node.Content) == 1 && node.Content[0].Tag == "!!str" {
		return text
	}
	return `"` + text + `"`
}

// apply replaces from the end, so that an edit doesn't move those before it.
func apply(content []byte, edits []edit) []byte {
	lines := strings.SplitAfter(string(content), "\n")
	edits = slices.Clone(edits)
	slices.SortFunc(edits, func(a, b edit) int {
		if a.line != b.line {
			return b.line - a.line
		}
		return b.column - a.column
	})
	for _, e := range edits {
		line := lines[e.line-1]
		before, after := line[:e.column-1], line[e.column-1:]
		lines[e.line-1] = before + e.new + strings.TrimPrefix(after, e.old)
	}
	return []byte(strings.Join(lines, ""))
}
