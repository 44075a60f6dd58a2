package chart

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	helmchart "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"k8s.io/apimachinery/pkg/runtime"
)

// parsed is a chart in Helm's structure: parsed once, which is a good part of a
// rendering's time, and copied for each use, because Helm changes a chart while
// it renders it.
type parsed struct {
	once  sync.Once
	chart *helmchart.Chart
	err   error

	enabled sync.Map // *helmchart.Chart: what is left of it, by the values that decide
}

func (p *parsed) of(c *Chart) (*helmchart.Chart, error) {
	p.once.Do(func() {
		if p.chart, p.err = loader.LoadFiles(c.flatten()); p.err != nil {
			p.err = fmt.Errorf("chart %s: %w", c.Name, p.err)
			return
		}
		sortDependencies(p.chart)
	})
	if p.err != nil {
		return nil, p.err
	}
	return clone(p.chart), nil
}

// left is the chart without the dependencies that these values switch off, and
// with the values that it imports from the others. Most sets of values leave the
// same, so that it is remembered.
func (p *parsed) left(c *Chart, values map[string]any) (*helmchart.Chart, error) {
	h, err := p.of(c)
	if err != nil {
		return nil, err
	}
	deciding, err := json.Marshal(only(values, switches(h, nil)))
	if err != nil {
		return nil, err
	}
	if known, has := p.enabled.Load(string(deciding)); has {
		return clone(known.(*helmchart.Chart)), nil
	}
	if err := chartutil.ProcessDependenciesWithMerge(h, values); err != nil {
		return nil, fmt.Errorf("chart %s: %w", c.Name, err)
	}
	p.enabled.Store(string(deciding), h)
	return clone(h), nil
}

// switches are the paths of the values that decide which dependencies are
// enabled: conditions, tags, and the globals that a condition may name.
func switches(h *helmchart.Chart, at []string) [][]string {
	paths := [][]string{{"tags"}, append(slices.Clone(at), "global")}
	for _, dependency := range h.Metadata.Dependencies {
		for condition := range strings.SplitSeq(dependency.Condition, ",") {
			paths = append(paths, append(slices.Clone(at), strings.Split(strings.TrimSpace(condition), ".")...))
		}
		for _, sub := range h.Dependencies() {
			if sub.Name() == dependency.Name {
				paths = append(paths, switches(sub, append(slices.Clone(at), cmp.Or(dependency.Alias, dependency.Name)))...)
			}
		}
	}
	return paths
}

// only keeps of values what lies at these paths, or in their way.
func only(values map[string]any, paths [][]string) map[string]any {
	below := map[string][][]string{}
	for _, path := range paths {
		below[path[0]] = append(below[path[0]], path[1:])
	}
	kept := map[string]any{}
	for key, further := range below {
		value, has := values[key]
		if !has {
			continue
		}
		table, isTable := value.(map[string]any)
		if !isTable || slices.ContainsFunc(further, func(path []string) bool { return len(path) == 0 }) {
			kept[key] = value
			continue
		}
		kept[key] = only(table, further)
	}
	return kept
}

// sortDependencies puts the dependencies in the order of their names: Helm's
// loader gives them in that of a map, another one at each call.
func sortDependencies(h *helmchart.Chart) {
	slices.SortFunc(h.Dependencies(), func(a, b *helmchart.Chart) int { return strings.Compare(a.Name(), b.Name()) })
	for _, sub := range h.Dependencies() {
		sortDependencies(sub)
	}
}

// clone copies what Helm changes: values, dependencies and what is said of them.
func clone(h *helmchart.Chart) *helmchart.Chart {
	metadata := *h.Metadata
	metadata.Dependencies = nil
	for _, dependency := range h.Metadata.Dependencies {
		copied := *dependency
		metadata.Dependencies = append(metadata.Dependencies, &copied)
	}
	cloned := &helmchart.Chart{
		Raw: h.Raw, Metadata: &metadata, Lock: h.Lock, Templates: h.Templates, Schema: h.Schema, Files: h.Files,
		Values: runtime.DeepCopyJSON(h.Values),
	}
	for _, sub := range h.Dependencies() {
		cloned.AddDependency(clone(sub))
	}
	return cloned
}
