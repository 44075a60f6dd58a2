package charttest

import (
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/tmorin/homecloud/internal/values"
)

// explainLimit is how long failed tests of one rendering may look for reasons,
// all together.
const explainLimit = 3 * time.Second

// explain shows the lines of values that decide a field: each value is changed in
// turn, and the chart rendered again.
func (r *Rendering) explain(f *Field) string {
	before, _, _ := lookUp(f.object.Object, f.path)
	lines := r.deciding(f.object.Source, func(with []document) bool {
		for _, d := range with {
			if d.kind == f.object.GetKind() && d.name == f.object.GetName() {
				after, _, _ := lookUp(d.value, f.path)
				return !reflect.DeepEqual(before, after)
			}
		}
		return false // another name, or not there at all
	}, changed)
	return explained("decided by", lines)
}

// explainMissing shows the switches that would bring an object.
func (r *Rendering) explainMissing(kind, name string) string {
	lines := r.deciding("", func(with []document) bool {
		return slices.ContainsFunc(with, func(d document) bool { return d.kind == kind && d.name == name })
	}, flipped)
	return explained("it is there when this is changed", lines)
}

func explained(title string, lines []string) string {
	if lines == nil {
		return ""
	}
	return "\n" + title + "\n  " + strings.Join(lines, "\n  ")
}

// deciding lists the lines of all values that make a difference, in a template or,
// without its name, anywhere, when another value stands there.
func (r *Rendering) deciding(template string, differs func([]document) bool, other func(any) (any, bool)) (lines []string) {
	all, err := r.chart.chart.AllValues()
	if err != nil {
		return nil
	}
	begin := time.Now()
	end := begin.Add(explainLimit - time.Duration(r.result.explained.Load()))
	defer func() { r.result.explained.Add(int64(time.Since(begin))) }()
	all = values.Merge(all, r.settings.merged())
	for _, path := range leaves(all, nil) {
		if time.Now().After(end) {
			return append(lines, "… and maybe others: there was no time to try all")
		}
		was, _ := at(all, path)
		instead, can := other(was)
		if !can {
			continue
		}
		if differs(r.again(template, path, instead)) {
			lines = append(lines, r.line(path, was))
		}
	}
	return lines
}

// changed is another value of the same type.
func changed(value any) (any, bool) {
	switch v := value.(type) {
	case bool:
		return !v, true
	case string:
		return v + "-x", true
	case float64:
		return v + 1, true
	case int:
		return v + 1, true
	case int64:
		return v + 1, true
	}
	return nil, false
}

func flipped(value any) (any, bool) {
	v, is := value.(bool)
	return !v, is
}

// leaves lists the paths of all values that are no maps.
func leaves(value any, path []string) (found [][]string) {
	v, is := value.(map[string]any)
	if !is {
		return [][]string{path}
	}
	for _, key := range sortedKeys(v) {
		found = append(found, leaves(v[key], append(slices.Clone(path), key))...)
	}
	return found
}

func at(value any, path []string) (any, bool) {
	for _, key := range path {
		v, is := value.(map[string]any)
		if !is {
			return nil, false
		}
		if value, is = v[key]; !is {
			return nil, false
		}
	}
	return value, true
}

// again renders a template, or all, with one value replaced; nil: that can't be
// rendered.
func (r *Rendering) again(template string, path []string, value any) []document {
	key := fmt.Sprintf("%s %q %v", template, path, value)
	if known, has := r.result.others.Load(key); has {
		return known.([]document)
	}
	for _, key := range slices.Backward(path) {
		value = map[string]any{key: value}
	}
	replaced, is := value.(map[string]any)
	if !is {
		return nil
	}
	options := r.settings.options()
	options.Values, options.Unchecked, options.Template = values.Merge(options.Values, replaced), true, template
	documents, err := r.chart.chart.Documents(options)
	if err != nil && template != "" { // maybe it includes another one that only the rendering knows
		options.Template = ""
		documents, err = r.chart.chart.Documents(options)
	}
	var parsed []document
	if err == nil {
		parsed, _ = parse(documents)
	}
	r.result.others.Store(key, parsed)
	return parsed
}

// line is the place of a value and what stands there.
func (r *Rendering) line(path []string, value any) string {
	text := strings.Join(path, ".") + ": " + toYAML(value)
	for _, l := range slices.Backward(r.settings.layers) {
		if _, has := at(l.values, path); !has {
			continue
		}
		if l.name == "" {
			return "the test itself: " + text
		}
		return fmt.Sprintf("%s:%d: %s", l.name, lineOf(l.text, path), text)
	}
	c, folder, below := r.chart.chart, filepath.Base(r.chart.folder), path
	for len(below) > 1 && c.Dependency(below[0]) != nil && lineOf(c.DefaultValues(), below) == 0 {
		folder = filepath.Join(folder, "charts", below[0])
		c, below = c.Dependency(below[0]), below[1:]
	}
	return fmt.Sprintf("%s:%d: %s", filepath.Join(folder, "values.yaml"), lineOf(c.DefaultValues(), below), text)
}

// lineOf is the line of a value in a values file; 0: it doesn't stand there.
func lineOf(text []byte, path []string) int {
	var document yaml.Node
	if yaml.Unmarshal(text, &document) != nil || len(document.Content) == 0 {
		return 0
	}
	node, line := document.Content[0], 0
	for _, key := range path {
		found := false
		for i := 0; node.Kind == yaml.MappingNode && i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == key {
				line, node, found = node.Content[i].Line, node.Content[i+1], true
				break
			}
		}
		if !found {
			return 0
		}
	}
	return line
}
