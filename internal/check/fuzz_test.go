package check_test

import (
	"encoding/binary"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/tmorin/homecloud/charts"
	"github.com/tmorin/homecloud/internal/chart"
	"github.com/tmorin/homecloud/internal/check"
	"github.com/tmorin/homecloud/internal/values"
)

// judged wants findings that a person can use, whatever was checked.
func judged(t *testing.T, findings []check.Finding) {
	t.Helper()
	for _, f := range findings {
		require.NotEmpty(t, f.Rule)
		require.NotEmpty(t, f.Text)
		require.NotEmpty(t, f.Severity)
	}
}

// FuzzManifests checks whatever a template may print.
func FuzzManifests(f *testing.F) {
	base, err := txtar.ParseFile("testdata/base.txtar")
	require.NoError(f, err)
	echo := load(f, map[string]string{
		"Chart.yaml":              "apiVersion: v2\nname: web\nversion: 1.0.0\n",
		"templates/anything.yaml": "{{ .Values.manifest }}",
	})
	original := load(f, filesOf(base))
	documents, err := original.Documents(chart.RenderOptions{Release: "web", Namespace: "web"})
	require.NoError(f, err)
	for _, document := range documents {
		f.Add(document.Text)
		for _, odd := range oddities(f, document.Text) {
			f.Add(odd)
		}
	}
	f.Add("kind: List\napiVersion: v1\nitems: [1, null, {kind: Pod}]\n---\n- a\n---\n\"text\"")
	checker := newChecker(f)
	checker.Versions = checker.Versions[:1]
	f.Fuzz(func(t *testing.T, manifest string) {
		if len(manifest) > 1<<14 || !utf8.ValidString(manifest) {
			return
		}
		judged(t, checker.Check(echo, check.Values{Release: "web", Namespace: "web", Values: map[string]any{"manifest": manifest}}))
	})
}

// filesOf are the files of an archive.
func filesOf(archive *txtar.Archive) map[string]string {
	files := map[string]string{}
	for _, f := range archive.Files {
		files[f.Name] = string(f.Data)
	}
	return files
}

// odd is what stands where nobody expects it.
var odd = []any{nil, "", "x", 0, -1, 1e300, true, []any{}, []any{nil}, []any{"x"}, map[string]any{}, map[string]any{"x": nil}, strings.Repeat("long", 100), "{{ fail }}", "é\u0000"}

// oddities are an object with each of its fields in turn replaced by something odd.
func oddities(t testing.TB, text string) []string {
	t.Helper()
	var object map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(text), &object))
	var found []string
	for i, path := range paths(object, nil) {
		changed := with(object, path, odd[i%len(odd)])
		text, err := yaml.Marshal(changed)
		require.NoError(t, err)
		found = append(found, string(text))
	}
	return found
}

// paths are the ways to everything in a value.
func paths(value any, at []any) [][]any {
	var found [][]any
	below := func(key, inner any) {
		path := append(slices.Clone(at), key)
		found = append(append(found, path), paths(inner, path)...)
	}
	switch v := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			below(key, v[key])
		}
	case []any:
		for i, inner := range v {
			below(i, inner)
		}
	}
	return found
}

// with is a value with something else at a path.
func with(value any, path []any, new any) any {
	if len(path) == 0 {
		return new
	}
	switch v := value.(type) {
	case map[string]any:
		v = maps.Clone(v)
		key := path[0].(string)
		v[key] = with(v[key], path[1:], new)
		return v
	case []any:
		v = slices.Clone(v)
		i := path[0].(int)
		v[i] = with(v[i], path[1:], new)
		return v
	}
	return value
}

// FuzzValues checks our charts with values of which some are odd: the bytes say
// which, two for the place and one for what stands there.
func FuzzValues(f *testing.F) {
	umbrella, err := chart.Embedded(charts.FS).Load(values.ChartUmbrella)
	require.NoError(f, err)
	text, err := os.ReadFile("../../charts/homecloud/ci/whole-values.yaml")
	require.NoError(f, err)
	given, err := values.Read("whole-values.yaml", text)
	require.NoError(f, err)
	all, err := umbrella.AllValues()
	require.NoError(f, err)
	given = values.Merge(all, given)
	places := paths(given, nil)
	checker := newChecker(f)
	checker.Versions = checker.Versions[:1]
	for i := range 20 {
		f.Add([]byte(fmt.Sprintf("%c%c%c", i*7%256, i*31%256, i)))
	}
	f.Fuzz(func(t *testing.T, changes []byte) {
		changed := any(given)
		for ; len(changes) >= 3; changes = changes[3:] {
			place := places[int(binary.LittleEndian.Uint16(changes))%len(places)]
			changed = with(changed, place, odd[int(changes[2])%len(odd)])
		}
		judged(t, checker.Check(umbrella, check.Values{Release: "home", Namespace: "home", Values: changed.(map[string]any)}))
	})
}
