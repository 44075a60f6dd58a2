package charts_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/pkg/charttest"
)

// inCluster is where the tests install to.
var inCluster = charttest.Release("homecloud", "cloud")

// eachScenario calls back for each values file of a chart's ci folder.
func eachScenario(t *testing.T, test func(t *testing.T, chart *charttest.Chart, name string, scenario charttest.Option)) {
	for _, name := range []string{"dnas", "platform", "homecloud"} {
		charttest.Variants(t, filepath.Join(name, "ci", "*-values.yaml"), func(t *testing.T, scenario charttest.Option) {
			test(t, charttest.Load(t, name), name+"-"+strings.TrimSuffix(filepath.Base(t.Name()), "-values"), scenario)
		})
	}
}

func TestScenariosRenderAsRecorded(t *testing.T) {
	eachScenario(t, func(t *testing.T, chart *charttest.Chart, name string, scenario charttest.Option) {
		chart.Render(t, scenario, inCluster).Golden(filepath.Join("testdata", "golden", name+".yaml"))
	})
}

func TestNothingIsFoundInScenarios(t *testing.T) {
	eachScenario(t, func(t *testing.T, chart *charttest.Chart, _ string, scenario charttest.Option) {
		chart.Check(t, charttest.Expect{Provided: []string{
			"Secret/homecloud-users", "Secret/homecloud-dnas-syncthing-peers", "Secret/homecloud-dnas-syncthing-box",
			"Secret/homecloud-dnas-syncthing-node-1", "Secret/homecloud-dnas-syncthing-node-2",
			"Secret/registry", "Secret/my-peers", "Secret/my-node-box", // what nfs-only names
		}}, scenario, inCluster)
	})
}

// A chart that asks the cluster for its version would render otherwise under Argo CD, which tells it another one.
func TestEveryKubernetesVersionGetsTheSameObjects(t *testing.T) {
	eachScenario(t, func(t *testing.T, chart *charttest.Chart, _ string, scenario charttest.Option) {
		want := string(chart.Render(t, scenario, inCluster).YAML())
		for _, version := range []string{"1.29.0", "1.37.0"} {
			require.Equal(t, want, string(chart.Render(t, scenario, inCluster, charttest.KubeVersion(version)).YAML()), version)
		}
	})
}

func TestOlderKubernetesIsRefused(t *testing.T) {
	for _, name := range []string{"dnas", "platform", "homecloud"} {
		charttest.Load(t, name).Refuses(t, "requires kubeVersion: >=1.29.0-0", scenarioOf(t, name), charttest.KubeVersion("1.28.9"))
	}
}

// scenarioOf is one of a chart's scenarios.
func scenarioOf(t *testing.T, name string) charttest.Option {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(name, "ci", "*-values.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	return charttest.ValuesFiles(files[0])
}

// Helm drops a nested dependency whose archive is missing without a word and without an error, so the objects of each
// are counted.
func TestUmbrellaHoldsTheObjectsOfEveryChart(t *testing.T) {
	for name, want := range map[string]map[string]int{
		"whole":    {"dnas": 12, "platform": 2},
		"services": {"dnas": 11},
	} {
		t.Run(name, func(t *testing.T) {
			got := map[string]int{}
			for _, o := range charttest.Load(t, "homecloud").Render(t, charttest.ValuesFiles("homecloud/ci/"+name+"-values.yaml")).Objects() {
				got[strings.Split(o.Source, "/")[2]]++
			}
			require.Equal(t, want, got)
		})
	}
}

// The umbrella renders what its charts render alone: same names, same bytes.
func TestUmbrellaAddsNothing(t *testing.T) {
	text, err := os.ReadFile("homecloud/ci/services-values.yaml")
	require.NoError(t, err)
	var tree struct{ DNAS map[string]any }
	require.NoError(t, yaml.Unmarshal(text, &tree))
	alone := charttest.Load(t, "dnas").Render(t, charttest.Values(tree.DNAS), inCluster).Objects()
	within := charttest.Load(t, "homecloud").Render(t, charttest.ValuesFiles("homecloud/ci/services-values.yaml"), inCluster).Objects()
	require.Len(t, within, len(alone))
	for i := range alone {
		require.Equal(t, alone[i].Object, within[i].Object)
	}
}

func TestThirdPartyChartsArePinnedAndOff(t *testing.T) {
	var metadata struct {
		Dependencies []struct{ Name, Version, Repository, Condition string }
	}
	text, err := os.ReadFile("platform/Chart.yaml")
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(text, &metadata))
	var values map[string]any
	text, err = os.ReadFile("platform/values.yaml")
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(text, &values))
	var found []string
	for _, d := range metadata.Dependencies {
		if strings.HasPrefix(d.Repository, "file://") {
			continue
		}
		found = append(found, d.Name)
		require.Regexp(t, `^\d+\.\d+\.\d+$`, d.Version, d.Name)
		require.Equal(t, d.Name+".enabled", d.Condition)
		require.Equal(t, map[string]any{"enabled": false}, values[d.Name], d.Name)
		charttest.Load(t, "platform").Refuses(t, d.Name, charttest.Set(d.Name+".enabled", true))
	}
	slices.Sort(found)
	require.Equal(t, []string{"headlamp", "kube-prometheus-stack", "longhorn", "portainer", "traefik"}, found)
}

// Validation tells of two exports with one id before the chart does.
func TestExportsHaveTheIDThatValidationKnows(t *testing.T) {
	for _, name := range []string{"roms", "s205", "family-and-friends"} {
		rendered := charttest.Load(t, "dnas").Render(t, scenarioOf(t, "dnas"), inCluster, charttest.Values(map[string]any{
			"shares": map[string]any{name: map[string]any{"guest": "read", "nfs": map[string]any{"enabled": true}}},
		}))
		require.Contains(t, string(rendered.YAML()), fmt.Sprintf("Export_Id = %d;", config.NFSExportID(name)))
	}
}
