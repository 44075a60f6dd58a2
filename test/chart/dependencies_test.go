package chart_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// Helm drops a nested dependency whose archive is missing without a word and without an error, so the objects of each
// are counted.
func TestUmbrellaHoldsTheObjectsOfEveryChart(t *testing.T) {
	for name, want := range map[string]map[string]int{
		"whole":    {"dnas": 12, "platform": 2},
		"services": {"dnas": 11},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := render(t, "homecloud", []string{root + "/charts/homecloud/ci/" + name + "-values.yaml"})
			require.NoError(t, err)
			got := map[string]int{}
			for _, source := range regexp.MustCompile(`(?m)^# Source: homecloud/charts/([^/]+)/`).FindAllStringSubmatch(text, -1) {
				got[source[1]]++
			}
			require.Equal(t, want, got)
		})
	}
}

// The umbrella renders what its charts render alone: same names, same bytes.
func TestUmbrellaAddsNothing(t *testing.T) {
	values := root + "/charts/homecloud/ci/services-values.yaml"
	text, err := os.ReadFile(values)
	require.NoError(t, err)
	var tree struct {
		DNAS map[string]any `json:"dnas"`
	}
	require.NoError(t, yaml.Unmarshal(text, &tree))
	text, err = yaml.Marshal(tree.DNAS)
	require.NoError(t, err)
	own := filepath.Join(t.TempDir(), "values.yaml")
	require.NoError(t, os.WriteFile(own, text, 0o644))

	alone, err := render(t, "dnas", []string{own})
	require.NoError(t, err)
	within, err := render(t, "homecloud", []string{values})
	require.NoError(t, err)
	require.Equal(t, objects(t, alone), objects(t, within))
}

func TestThirdPartyChartsArePinnedAndOff(t *testing.T) {
	var metadata struct {
		Dependencies []struct{ Name, Version, Repository, Condition string } `json:"dependencies"`
	}
	text, err := os.ReadFile(root + "/charts/platform/Chart.yaml")
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(text, &metadata))
	var values map[string]any
	text, err = os.ReadFile(root + "/charts/platform/values.yaml")
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
	}
	slices.Sort(found)
	want := slices.Clone(thirdParty)
	slices.Sort(want)
	require.Equal(t, want, found)
}

func TestLeftOutDependencyCantBeEnabled(t *testing.T) {
	for _, name := range thirdParty {
		_, err := render(t, "platform", nil, "--set", name+".enabled=true")
		require.ErrorContains(t, err, name, name)
	}
}
