package values

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tmorin/homecloud/charts"
	"github.com/tmorin/homecloud/internal/chart"
	"github.com/tmorin/homecloud/internal/config"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// clusters are the files of testdata and all examples.
func clusters(t *testing.T) map[string]*config.Cluster {
	t.Helper()
	own, err := filepath.Glob("testdata/clusters/*.yaml")
	require.NoError(t, err)
	examples, err := filepath.Glob("../../examples/*.yaml")
	require.NoError(t, err)
	found := map[string]*config.Cluster{}
	for _, file := range append(own, examples...) {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		if strings.HasSuffix(name, ".lock") || strings.HasSuffix(name, ".secrets") {
			continue
		}
		if strings.Contains(file, "examples") {
			name = "example-" + name
		}
		cluster, err := config.Load(file)
		require.NoError(t, err)
		found[name] = cluster
	}
	return found
}

func builtin(t *testing.T, name string) *chart.Chart {
	t.Helper()
	c, err := chart.Embedded(charts.FS).Load(name)
	require.NoError(t, err)
	return c
}

func defaults(t *testing.T) Defaults {
	d := Defaults{}
	for _, name := range []string{ChartUmbrella, ChartDNAS, ChartPlatform} {
		d[name] = builtin(t, name).DefaultValues()
	}
	return d
}

func TestValuesOfEveryChart(t *testing.T) {
	for name, cluster := range clusters(t) {
		for _, chartName := range []string{ChartUmbrella, ChartDNAS, ChartPlatform} {
			t.Run(name+"/"+chartName, func(t *testing.T) {
				v, err := Chart(cluster, chartName, defaults(t))
				require.NoError(t, err)
				file := filepath.Join("testdata", "golden", name+"-"+chartName+".yaml")
				if *update {
					require.NoError(t, os.WriteFile(file, v.YAML(), 0o644))
				}
				want, err := os.ReadFile(file)
				require.NoError(t, err, "run the test with -update to write it")
				require.Equal(t, string(want), string(v.YAML()))
				require.NotContains(t, string(v.YAML()), "null")
			})
		}
	}
}

func TestValuesCanBeRendered(t *testing.T) {
	for name, cluster := range clusters(t) {
		for _, chartName := range []string{ChartUmbrella, ChartDNAS, ChartPlatform} {
			t.Run(name+"/"+chartName, func(t *testing.T) {
				v, err := Chart(cluster, chartName, defaults(t))
				require.NoError(t, err)
				_, err = builtin(t, chartName).Render(chart.RenderOptions{Release: "homecloud", Namespace: "homecloud", Values: v.Map()})
				require.NoError(t, err)
			})
		}
	}
}

// What is left out must come back from the chart: else the renderer would see
// something else than the cluster file says.
func TestNothingIsLostByLeavingOutDefaults(t *testing.T) {
	for name, cluster := range clusters(t) {
		t.Run(name, func(t *testing.T) {
			short, err := Chart(cluster, ChartDNAS, defaults(t))
			require.NoError(t, err)
			full, err := Chart(cluster, ChartDNAS, Defaults{})
			require.NoError(t, err)
			known, err := Read("values.yaml", defaults(t)[ChartDNAS])
			require.NoError(t, err)
			require.Equal(t, Merge(known, full.Map()), Merge(known, short.Map()))
		})
	}
}

func TestUnknownChartIsRefused(t *testing.T) {
	_, err := Chart(&config.Cluster{}, "nextcloud", nil)
	require.EqualError(t, err, `the cluster file has no values for a chart "nextcloud"; there are homecloud, dnas and platform`)
}

func TestMergeReplacesListsAndMergesMaps(t *testing.T) {
	base := map[string]any{"a": map[string]any{"x": 1, "y": 2}, "list": []any{1, 2}}
	over := map[string]any{"a": map[string]any{"y": 3}, "list": []any{9}, "new": "z"}
	require.Equal(t, map[string]any{"a": map[string]any{"x": 1, "y": 3}, "list": []any{9}, "new": "z"}, Merge(base, over))
	require.Equal(t, 2, base["a"].(map[string]any)["y"], "the base stays as it is")
}

func TestValuesFileIsReadAsHelmDoes(t *testing.T) {
	for text, want := range map[string]map[string]any{
		"":                         {},
		"# nothing\n":              {},
		"a: {1: x, true: y, ~: z}": {"a": map[string]any{"1": "x", "true": "y", "~": "z"}},
		"a: 2020-01-01":            {"a": "2020-01-01"},
		"\ufeffa: 1\r\nb: x\r\n":   {"a": 1, "b": "x"},
		"a: &x {b: 1}\nc: *x":      {"a": map[string]any{"b": 1}, "c": map[string]any{"b": 1}},
		"---\na: 1\n...\n":         {"a": 1},
	} {
		got, err := Read("mine.yaml", []byte(text))
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
}

func TestValuesFileThatWouldBeMisreadIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"a: 1\n---\nb: 2\n": "mine.yaml:2: a second document begins here; write one per file",
		"- a":               "mine.yaml:1: no fields; write them as name: value",
		"hello":             "mine.yaml:1: no fields; write them as name: value",
		"a:\n  b: .inf":     "mine.yaml: line 2: .inf is no number; write digits, or quote a text",
		"a: 1\na: 2":        `mapping key "a" already defined at line 1`,
		"a: &x [*x]":        "contains itself",
		"a:\n\tb: 1":        "mine.yaml: yaml: line 2: found character that cannot start any token",
	} {
		_, err := Read("mine.yaml", []byte(text))
		require.ErrorContains(t, err, want)
	}
}
