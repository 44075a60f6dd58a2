package chart

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	helmchart "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"k8s.io/apimachinery/pkg/runtime"
)

// parsed is a chart in Helm's structure: parsed once, which is a good part of a
// rendering's time, and copied for each use, because Helm changes a chart while
// it renders it.
type parsed struct {
	once  sync.Once
	chart *helmchart.Chart
	err   error
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
