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
	for _, name := range Charts() {
		d[name] = builtin(t, name).DefaultValues()
	}
	return d
}

func TestValuesOfEveryChart(t *testing.T) {
	for name, cluster := range clusters(t) {
		for _, chartName := range Charts() {
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
		for _, chartName := range Charts() {
			t.Run(name+"/"+chartName, func(t *testing.T) {
				renders(t, cluster, chartName)
			})
		}
	}
}

func renders(t *testing.T, cluster *config.Cluster, chartName string) {
	t.Helper()
	v, err := Chart(cluster, chartName, defaults(t))
	require.NoError(t, err)
	_, err = builtin(t, chartName).Render(chart.RenderOptions{Release: "homecloud", Namespace: "homecloud", Values: v.Map()})
	require.NoError(t, err)
}

// edgeFile is valid; each edge changes one of its words.
const edgeFile = `apiVersion: homecloud/v1alpha1
kind: Cluster
name: home
network: {subnet: 192.168.1.0/24, gateway: 192.168.1.1, vip: {address: 192.168.1.50}, lan: [192.168.1.0/24]}
nodes:
  - {name: node-1, address: 192.168.1.51, interface: eth0, disks: [{name: data, device: /dev/disk/by-id/usb-A}]}
  - {name: node-2, address: 192.168.1.52, interface: eth0, disks: [{name: data, device: /dev/disk/by-id/usb-B}]}
users: [{name: alice, admin: true}]
devices: [{name: phone, owner: alice, id: MFZWI3D-BONSGYC-YLTMRWG-C43ENR5-QXGZDMM-FZWI3DP-BONSGYY-LTMRWAD}]
dnas:
  shares:
    - name: photos
      access: {alice: write}
      nfs: {enabled: true, clients: [192.168.1.20], access: write}
      sync: {devices: [phone]}
`

// A file is valid, or refused with a position: a chart's schema, which knows
// no positions, must never be the one that refuses it.
func TestChartsTakeWhatIsValid(t *testing.T) {
	const valid, invalid = true, false
	for _, edge := range []struct {
		old, new string
		valid    bool
	}{
		{"name: home", "name: 1-" + strings.Repeat("x", 29), valid},
		{"name: home", "name: a.0", invalid},
		{"node-1", `"1"`, valid},
		{"node-1", strings.Repeat("x", 38), valid},
		{"node-1", strings.Repeat("x", 39), invalid},
		{"node-1", "node.1", invalid},
		{"node-1", "peers", invalid},
		{"photos", "Photos", valid},
		{"photos", "my_photos", valid},
		{"photos", "a.b", valid},
		{"photos", `"1.0"`, valid},
		{"photos", `"2024"`, valid},
		{"photos", strings.Repeat("X", 32), valid},
		{"photos", "a b", invalid},
		{"alice", "anna_b", valid},
		{"alice", "a-" + strings.Repeat("x", 30), valid},
		{"alice", "anna.b", invalid},
		{"phone", "1-" + strings.Repeat("x", 30), valid},
		{"eth0", "enx00e04c680001", valid},
		{"eth0", "br-lan.7", valid},
		{"eth0", "eth0@if2", invalid},
		{"eth0", "..", invalid},
		{"lan: [192.168.1.0/24]", `lan: [192.168.1.0/24, "fd00::/64", "::ffff:192.168.1.0/120"]`, valid},
		{"lan: [192.168.1.0/24]", "lan: [192.168.1.0/24, 192.168.1.0/24]", invalid},
		{"192.168.1.20", "192.168.1.20, 192.168.1.21/32", valid},
		{"192.168.1.20", "192.168.1.20, 192.168.1.20", invalid},
		{"192.168.1.20", "192.168.1.20, 192.168.1.20/32", invalid},
		{"[phone]", "[phone, phone]", invalid},
	} {
		t.Run(edge.new, func(t *testing.T) {
			text := strings.ReplaceAll(edgeFile, edge.old, edge.new)
			require.NotEqual(t, edgeFile, text)
			cluster, err := config.Parse("homecloud.yaml", []byte(text), nil)
			if !edge.valid {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			renders(t, cluster, ChartUmbrella)
			// The same people with the shares that nobody wrote.
			text, _, _ = strings.Cut(text, "dnas:\n")
			cluster, err = config.Parse("homecloud.yaml", []byte(text), nil)
			if err == nil {
				renders(t, cluster, ChartUmbrella)
			}
		})
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
