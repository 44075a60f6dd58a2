package chart

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func library(t *testing.T, name string) *Chart {
	t.Helper()
	c, err := Directory("testdata/library").Load(name)
	require.NoError(t, err)
	return c
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", "golden", name)
	if *update {
		require.NoError(t, os.WriteFile(file, got, 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err, "run the test with -update to write it")
	require.Equal(t, string(want), string(got))
}

func TestFileDependenciesComeFromTheirSource(t *testing.T) {
	top := library(t, "top")
	require.Equal(t, []string{"leaf", "middle"}, []string{top.deps[0].Name, top.deps[1].Name})
	require.NotNil(t, top.Dependency("middle").Dependency("common"))
	require.Equal(t, []string{"common", "leaf", "middle", "stranger"}, top.DependsOn())
}

func TestAStaleCopyDoesNotHideTheSource(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS("testdata/library")))
	stale := filepath.Join(dir, "top", "charts", "leaf", "templates")
	require.NoError(t, os.MkdirAll(stale, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(stale, "..", "Chart.yaml"), []byte("{apiVersion: v2, name: leaf, version: 0.1.0}"), 0o644))
	c, err := Load(filepath.Join(dir, "top"))
	require.NoError(t, err)
	require.NotEmpty(t, c.Dependency("leaf").files["templates/config.yaml"])
}

func TestIgnoredFilesAreNotLoaded(t *testing.T) {
	leaf := library(t, "leaf")
	require.NotContains(t, leaf.files, "ci/values.yaml")
	require.NotContains(t, leaf.files, "values.yaml.bak")
}

func TestACircleOfDependenciesEnds(t *testing.T) {
	_, err := Directory("testdata/library").Load("circle")
	require.ErrorContains(t, err, "chart circle depends on itself")
}

func TestADependencyOfAnotherVersionIsRefused(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS("testdata/library")))
	file := filepath.Join(dir, "leaf", "Chart.yaml")
	require.NoError(t, os.WriteFile(file, []byte("{apiVersion: v2, name: leaf, version: 0.9.0}"), 0o644))
	_, err := Load(filepath.Join(dir, "top"))
	require.ErrorContains(t, err, "dependency leaf 0.1.0: file://../leaf holds leaf 0.9.0")
}

func TestMissingDependenciesAreNamed(t *testing.T) {
	top := library(t, "top")
	require.Equal(t, []Missing{{Parent: "top/middle", Name: "stranger", Version: "1.2.3", Repository: "https://charts.example.org"}}, top.Missing)
	require.Equal(t, "middle/stranger 1.2.3", top.Missing[0].String())
}

func TestUnknownChartNamesTheKnownOnes(t *testing.T) {
	_, err := Embedded(os.DirFS("testdata/library")).Load("nope")
	require.EqualError(t, err, `built-in charts: no chart "nope"; there are circle, common, leaf, middle, top`)
	_, err = Directory("testdata/library").Load("nope")
	require.EqualError(t, err, `testdata/library: no chart "nope"; there are circle, common, leaf, middle, top`)
	_, err = Directory("testdata/library/leaf").Load("leaf")
	require.EqualError(t, err, "testdata/library/leaf: no chart in there; name the folder that holds the charts' folders")
}

func TestRenderingGivesTheObjectsOfEveryDependencyAndTheHooks(t *testing.T) {
	r, err := library(t, "top").Render(RenderOptions{Release: "home", Namespace: "cloud", Values: map[string]any{
		"leaf": map[string]any{"port": 8080},
	}})
	require.NoError(t, err)
	golden(t, "top.yaml", r.YAML())
	require.Equal(t, "Top is there.\n", r.Notes)
}

func TestDependenciesHaveTheSameOrderAtEachLoading(t *testing.T) {
	for range 20 {
		h, err := library(t, "top").helm()
		require.NoError(t, err)
		require.Len(t, h.Dependencies(), 2)
		require.Equal(t, "leaf", h.Dependencies()[0].Name())
		require.Equal(t, "middle", h.Dependencies()[1].Name())
	}
}

func TestRenderingTwiceGivesTheSameBytes(t *testing.T) {
	top := library(t, "top")
	values := map[string]any{"leaf": map[string]any{"greeting": "bonjour"}}
	first, err := top.Render(RenderOptions{Release: "home", Namespace: "cloud", Values: values})
	require.NoError(t, err)
	for range 5 {
		again, err := library(t, "top").Render(RenderOptions{Release: "home", Namespace: "cloud", Values: values})
		require.NoError(t, err)
		require.Equal(t, string(first.YAML()), string(again.YAML()))
	}
	require.Equal(t, map[string]any{"leaf": map[string]any{"greeting": "bonjour"}}, values, "the caller's values stay as they are")
}

func TestValuesThatCannotBeRenderedAreExplained(t *testing.T) {
	for name, test := range map[string]struct {
		values map[string]any
		want   string
	}{
		"unknown key": {
			values: map[string]any{"leaf": map[string]any{"greting": "hello"}},
			want:   "values: leaf.greting: unknown field",
		},
		"two findings": {
			values: map[string]any{"leaf": map[string]any{"greeting": "hi", "port": 0}},
			want:   "values: leaf.greeting: value must be one of 'hello', 'bonjour'\nvalues: leaf.port: minimum: got 0, want 1",
		},
		"unknown chart": {
			values: map[string]any{"laef": map[string]any{}},
			want:   "values: laef: unknown field",
		},
		"template refuses": {
			values: map[string]any{"leaf": map[string]any{"greeting": "bonjour", "port": 1}},
			want:   "chart top: greeting bonjour needs another port than 1",
		},
		"missing dependency enabled": {
			values: map[string]any{"middle": map[string]any{"stranger": map[string]any{"enabled": true}}},
			want:   "chart middle: dependency stranger 1.2.3 is enabled but isn't downloaded; run `helm dependency build` in middle's folder, or leave it disabled",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := library(t, "top").Render(RenderOptions{Release: "home", Namespace: "cloud", Values: test.values})
			require.EqualError(t, err, test.want)
		})
	}
}

func TestMissingDependencyOfADisabledChartIsNoError(t *testing.T) {
	r, err := library(t, "top").Render(RenderOptions{Release: "home", Namespace: "cloud", Values: map[string]any{
		"middle": map[string]any{"enabled": false, "stranger": map[string]any{"enabled": true}},
	}})
	require.NoError(t, err)
	require.NotContains(t, r.Manifest, "home-middle")
}

func TestKubernetesVersionIsTheCallers(t *testing.T) {
	r, err := library(t, "leaf").Render(RenderOptions{Release: "home", Namespace: "cloud", KubeVersion: "1.31.2"})
	require.NoError(t, err)
	require.Contains(t, r.Manifest, "kubernetes: v1.31.2")
	_, err = library(t, "leaf").Render(RenderOptions{Release: "home", Namespace: "cloud", KubeVersion: "latest"})
	require.ErrorContains(t, err, `version "latest" of Kubernetes`)
	require.True(t, IsKubeVersion("1.31.2") && IsKubeVersion("v1.31"))
	require.False(t, IsKubeVersion("latest") || IsKubeVersion(""))
}

func BenchmarkRender(b *testing.B) {
	top, err := Directory("testdata/library").Load("top")
	require.NoError(b, err)
	for b.Loop() {
		_, err := top.Render(RenderOptions{Release: "home", Namespace: "cloud"})
		require.NoError(b, err)
	}
}

// What is left of a chart with some values is remembered, and must not be what
// others left.
func TestWhatIsRememberedOfAChartIsOfTheSameValues(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"Chart.yaml": `{apiVersion: v2, name: top, version: 1.0.0, dependencies: [
			{name: sub, version: 1.0.0, condition: "sub.enabled, any.enabled", tags: [some], import-values: [{child: gives, parent: got}]},
			{name: sub, version: 1.0.0, alias: twin, condition: global.twin}]}`,
		"values.yaml":                               "any: {enabled: true}",
		"templates/a.yaml":                          "kind: Top\nmetadata: {name: a}\ngot: {{ toJson .Values.got }}",
		"charts/sub/Chart.yaml":                     `{apiVersion: v2, name: sub, version: 1.0.0, dependencies: [{name: deep, version: 1.0.0, condition: "global.deep,deep.enabled", tags: [deep]}]}`,
		"charts/sub/values.yaml":                    "gives: {bread: 1}\ndeep: {enabled: false}",
		"charts/sub/templates/a.yaml":               "kind: Sub\nmetadata: {name: {{ .Chart.Name }}}\nvalues: {{ toJson .Values }}",
		"charts/sub/charts/deep/Chart.yaml":         `{apiVersion: v2, name: deep, version: 1.0.0}`,
		"charts/sub/charts/deep/templates/all.yaml": "kind: Deep\nmetadata: {name: {{ .Template.BasePath | sha256sum | trunc 8 }}}\nvalues: {{ toJson .Values }}",
	} {
		path := filepath.Join(dir, "top", name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o750))
		require.NoError(t, os.WriteFile(path, []byte(strings.ReplaceAll(text, "\t", " ")), 0o600))
	}
	load := func() *Chart {
		c, err := Load(filepath.Join(dir, "top"))
		require.NoError(t, err)
		return c
	}
	remembers := load()
	different := map[string]bool{}
	for range 2 {
		for _, text := range []string{
			"{}", "{sub: {enabled: false}}", "{sub: {enabled: true, gives: {bread: 2}}}", "{got: null}", "{any: {enabled: false}}", "{any: none}", "{any: {enabled: null}}",
			"{tags: {some: false}}", "{tags: {some: false}, any: null}", "{tags: {deep: true}}", "{global: {twin: false}}", "{global: {deep: true}}",
			"{sub: {deep: {enabled: true}}}", "{twin: {deep: {enabled: true}}}", "{sub: {global: {deep: true}}}", "{twin: {tags: {deep: true}}}", "{global: {deep: false}, sub: {deep: {enabled: true}}}",
			"{sub: {enabled: 'yes'}}", "{global: {deep: {enabled: true}}}", "{got: {bread: 3, water: 4}}",
		} {
			var values map[string]any
			require.NoError(t, yaml.Unmarshal([]byte(text), &values))
			want, err := load().Documents(RenderOptions{Release: "r", Namespace: "n", Values: values})
			require.NoError(t, err, text)
			got, err := remembers.Documents(RenderOptions{Release: "r", Namespace: "n", Values: values})
			require.NoError(t, err, text)
			require.Equal(t, want, got, text)
			whole, err := load().Render(RenderOptions{Release: "r", Namespace: "n", Values: values})
			require.NoError(t, err, text)
			require.Len(t, got, whole.Objects(), text)
			different[fmt.Sprint(got)] = true
		}
	}
	require.Greater(t, len(different), 10)
}

func TestWhatTemplatesAskOfTheClusterIsNoted(t *testing.T) {
	asks := func(template string, offered ...string) (Asked, string) {
		c, err := assemble(map[string][]byte{
			"Chart.yaml":       []byte("{apiVersion: v2, name: web, version: 1.0.0}"),
			"templates/a.yaml": []byte(template),
		}, nil)
		require.NoError(t, err)
		var asked Asked
		documents, err := c.Documents(RenderOptions{Asked: &asked, APIVersions: offered})
		require.NoError(t, err)
		var text strings.Builder
		for _, d := range documents {
			text.WriteString(d.Text)
		}
		return asked, text.String()
	}
	asked, _ := asks("a: b")
	require.Equal(t, Asked{}, asked)
	asked, text := asks("{{ .Capabilities.KubeVersion }} {{ .Capabilities.KubeVersion.Minor }} {{ .Capabilities.HelmVersion.Version }}")
	require.Equal(t, Asked{Version: true}, asked)
	require.Regexp(t, `^v1\.34\.0 34 v3`, text)
	has := `{{ .Capabilities.APIVersions.Has "apps/v1" }} {{ .Capabilities.APIVersions.Has "example.org/v1" }} {{ has "example.org/v1" .Capabilities.APIVersions }}`
	asked, text = asks(has)
	require.Equal(t, Asked{APIs: []string{"example.org/v1"}}, asked)
	require.Equal(t, "true false false", text)
	asked, text = asks(has, "example.org/v1")
	require.Empty(t, asked)
	require.Equal(t, "true true true", text)
}

func TestOwnDependenciesAreThoseFromNowhereElse(t *testing.T) {
	var names []string
	for _, own := range library(t, "top").Own() {
		names = append(names, own.Name)
	}
	require.Equal(t, []string{"leaf", "middle"}, names)
}
