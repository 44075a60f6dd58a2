// Package charttest tests Helm charts with plain `go test`: a chart is rendered
// in the test's own process, its objects come typed, and a failure shows the
// lines of the values files that decide what was wrong.
//
//	func TestWebIsReadOnly(t *testing.T) {
//		web := charttest.Load(t, "../charts/web").Render(t, charttest.ValuesFiles("ci/large.yaml"))
//		web.Object("Deployment", "web").Field("spec.replicas").Equals(3)
//		deployment := charttest.Get[*appsv1.Deployment](web, "web")
//		…
//	}
//
// A chart is loaded once, and rendered once for each set of values, however many
// tests look at it. Nothing is asked from a cluster or a network.
package charttest

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/tmorin/homecloud/internal/chart"
	"github.com/tmorin/homecloud/internal/values"
)

// Chart is a chart under test.
type Chart struct {
	folder string
	chart  *chart.Chart
}

var (
	mutex    sync.Mutex
	loaded   = map[string]*Chart{}
	rendered = map[string]*result{}
)

// result is what a chart became with some values.
type result struct {
	documents []document // by template
	err       error
	// whole is the same in the order of installation, with the notes: more than
	// most tests ask for.
	whole func() (*chart.Rendering, error)

	others    sync.Map     // what it is with one value changed: []document, by that
	explained atomic.Int64 // how long was looked for reasons
}

// Load loads a chart from its folder or archive. Dependencies with a file://
// repository come from there, others must be in charts/ when values enable them.
func Load(t testing.TB, path string) *Chart {
	t.Helper()
	folder, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	mutex.Lock()
	defer mutex.Unlock()
	if c := loaded[folder]; c != nil {
		return c
	}
	c, err := chart.Load(folder)
	if err != nil {
		t.Fatal(err)
	}
	loaded[folder] = &Chart{folder: folder, chart: c}
	return loaded[folder]
}

// Option says how a chart is rendered.
type Option func(*settings) error

type settings struct {
	release, namespace, kubeVersion string
	layers                          []layer
}

// layer is one source of values; later ones win.
type layer struct {
	name   string // of the file; empty: from the test itself
	text   []byte // of the file
	values map[string]any
}

// Values puts values on top of those before.
func Values(v map[string]any) Option {
	return func(s *settings) error {
		s.layers = append(s.layers, layer{values: v})
		return nil
	}
}

// Set puts one value on top of those before, by its path: names parted by dots,
// such as image.registry, as in Helm's --set. Entries of lists, and names with a
// dot, aren't named this way: Values takes them. The value may be of any type.
func Set(path string, value any) Option {
	keys := strings.Split(path, ".")
	if slices.Contains(keys, "") || strings.ContainsAny(path, `[]\,=`) { // what has a meaning of its own in --set
		return func(*settings) error {
			return fmt.Errorf("Set(%q): names parted by dots, such as image.registry; for lists and other names there is Values", path)
		}
	}
	for _, key := range slices.Backward(keys) {
		value = map[string]any{key: value}
	}
	return Values(value.(map[string]any))
}

// ValuesFiles puts values files on top of those before, in their order.
func ValuesFiles(files ...string) Option {
	return func(s *settings) error {
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			read, err := values.Read(file, text)
			if err != nil {
				return err
			}
			s.layers = append(s.layers, layer{name: file, text: text, values: read})
		}
		return nil
	}
}

// Release gives the release's name, "release" by default, and its namespace,
// "default" by default.
func Release(name, namespace string) Option {
	return func(s *settings) error {
		s.release, s.namespace = name, namespace
		return nil
	}
}

// KubeVersion is the version of Kubernetes that the chart is rendered for, such
// as 1.34.0.
func KubeVersion(version string) Option {
	return func(s *settings) error {
		s.kubeVersion = version
		return nil
	}
}

func (c *Chart) settings(t testing.TB, options []Option) *settings {
	t.Helper()
	s := &settings{release: "release", namespace: "default"}
	for _, option := range options {
		if err := option(s); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s *settings) merged() map[string]any {
	merged := map[string]any{}
	for _, l := range s.layers {
		merged = values.Merge(merged, l.values)
	}
	return merged
}

func (s *settings) options() chart.RenderOptions {
	return chart.RenderOptions{Release: s.release, Namespace: s.namespace, KubeVersion: s.kubeVersion, Values: s.merged()}
}

// render renders, or remembers what was rendered.
func (c *Chart) render(s *settings) *result {
	options := s.options()
	text, err := json.Marshal(options)
	if err != nil {
		return &result{err: fmt.Errorf("values: %w", err)}
	}
	key := fmt.Sprintf("%s %x", c.folder, sha256.Sum256(text))
	mutex.Lock()
	known := rendered[key]
	mutex.Unlock()
	if known != nil {
		return known
	}
	r := &result{whole: sync.OnceValues(func() (*chart.Rendering, error) { return c.chart.Render(options) })}
	documents, err := c.chart.Documents(options)
	if err == nil {
		r.documents, err = parse(documents)
	}
	r.err = err
	mutex.Lock()
	defer mutex.Unlock()
	rendered[key] = r
	return r
}

// Render renders the chart, and fails the test when it can't.
func (c *Chart) Render(t testing.TB, options ...Option) *Rendering {
	t.Helper()
	s := c.settings(t, options)
	result := c.render(s)
	if result.err != nil {
		t.Fatalf("%v\n%s", result.err, s.files())
	}
	return &Rendering{t: t, chart: c, settings: s, result: result}
}

// Refuses fails the test unless the chart refuses these values and says so.
func (c *Chart) Refuses(t testing.TB, says string, options ...Option) {
	t.Helper()
	switch rendered := c.render(c.settings(t, options)); {
	case rendered.err == nil:
		t.Fatalf("chart %s takes these values, but should refuse them and say: %s", c.chart.Name, says)
	case !strings.Contains(rendered.err.Error(), says):
		t.Fatalf("chart %s refuses these values, but says\n  %v\ninstead of\n  %s", c.chart.Name, rendered.err, says)
	}
}

// files names the values files that were used.
func (s *settings) files() string {
	var names []string
	for _, l := range s.layers {
		if l.name != "" {
			names = append(names, l.name)
		}
	}
	if names == nil {
		return ""
	}
	return "with " + strings.Join(names, ", ")
}

// Variants runs a test for each values file that a pattern finds, named after
// the file.
func Variants(t *testing.T, pattern string, test func(t *testing.T, variant Option)) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatalf("no values file %s", pattern)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
		t.Run(name, func(t *testing.T) { test(t, ValuesFiles(file)) })
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func toYAML(value any) string {
	text, err := yaml.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return strings.TrimSpace(string(text))
}
