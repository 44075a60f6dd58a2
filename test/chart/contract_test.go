package chart_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gruntwork-io/terratest/modules/helm"
	"github.com/gruntwork-io/terratest/modules/k8s"
	"github.com/gruntwork-io/terratest/modules/logger"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// hcchart renders as the product does, in its own process; what it says when it can't is the error.
func hcchart(t testing.TB, arguments ...string) (string, error) {
	t.Helper()
	command := exec.CommandContext(t.Context(), filepath.Join(root, "bin", "hcchart"), arguments...)
	output, err := command.Output()
	if failed, is := errors.AsType[*exec.ExitError](err); is {
		err = fmt.Errorf("%w: %s", err, failed.Stderr)
	}
	return string(output), err
}

// The charts' own tests render in process: what Helm 3 and Helm 4 make of the same chart and values must be the same.
func TestHelmRendersTheSameObjects(t *testing.T) {
	for _, s := range scenarios(t) {
		t.Run(s.String(), func(t *testing.T) {
			own, err := hcchart(t, "render", chart(t, s.chart), "--values", s.values, "--release", release, "--namespace", namespace, "--kube-version", kubeVersion)
			require.NoError(t, err)
			for _, version := range []string{"helm3", "helm4"} {
				with(t, version)
				helms, err := render(t, s.chart, []string{s.values})
				require.NoError(t, err)
				require.ElementsMatch(t, objects(t, helms), objects(t, own), version)
			}
		})
	}
}

func TestHelmRendersTheSameCloudOfEveryExample(t *testing.T) {
	examples, err := filepath.Glob(filepath.Join(root, "examples", "*.yaml"))
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(examples), 4)
	for _, example := range examples {
		t.Run(strings.TrimSuffix(filepath.Base(example), ".yaml"), func(t *testing.T) {
			own, err := hcchart(t, "-f", example, "render", "--release", release, "--namespace", namespace, "--kube-version", kubeVersion)
			require.NoError(t, err)
			text, err := hcchart(t, "-f", example, "values")
			require.NoError(t, err)
			values := filepath.Join(t.TempDir(), "values.yaml")
			require.NoError(t, os.WriteFile(values, []byte(text), 0o600))
			for _, version := range []string{"helm3", "helm4"} {
				with(t, version)
				helms, err := render(t, "homecloud", []string{values})
				require.NoError(t, err)
				require.ElementsMatch(t, objects(t, helms), objects(t, own), version)
			}
		})
	}
}

// CHARTS_DIR names a folder of anybody's charts: those that each Helm renders with their own values must be rendered alike,
// and those that it refuses must be refused. A dependency that isn't downloaded is the one difference that is meant: Helm
// wants it, hcchart leaves it out unless the values enable it. Helm then gets the chart without it.
func TestHelmRendersTheSameOfOtherCharts(t *testing.T) {
	folder := os.Getenv("CHARTS_DIR")
	if folder == "" {
		t.Skip("CHARTS_DIR names no folder of charts")
	}
	found, err := filepath.Glob(filepath.Join(folder, "*", "Chart.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, found, "%s: no chart in there", folder)
	for _, file := range found {
		t.Run(filepath.Base(filepath.Dir(file)), func(t *testing.T) { sameAsHelm(t, filepath.Dir(file)) })
	}
}

func TestAMissingDependencyIsLeftOutForHelmToo(t *testing.T) {
	sameAsHelm(t, filepath.Join("testdata", "missing"))
}

func sameAsHelm(t *testing.T, folder string) {
	t.Helper()
	own, ownErr := hcchart(t, "render", folder, "--release", release, "--namespace", namespace, "--kube-version", kubeVersion)
	options := &helm.Options{Logger: logger.Discard, KubectlOptions: k8s.NewKubectlOptions("", "", namespace)}
	for _, version := range []string{"helm3", "helm4"} {
		with(t, version)
		text, _, err := helm.RenderTemplateAndGetStdOutErrContextE(t, t.Context(), options, folder, release, nil, "--kube-version", kubeVersion)
		if missing := missingIn(err); missing != nil && ownErr == nil {
			t.Logf("%s wants %v, which aren't downloaded and which the values don't enable: it gets the chart without", version, missing)
			text, _, err = helm.RenderTemplateAndGetStdOutErrContextE(t, t.Context(), options, without(t, folder, missing), release, nil, "--kube-version", kubeVersion)
		}
		if err != nil {
			require.Error(t, ownErr, "%s refuses it: %v", version, err)
			t.Logf("refused by hcchart and %s: %v", version, ownErr)
			continue
		}
		require.NoError(t, ownErr)
		require.ElementsMatch(t, objects(t, text), objects(t, own), version)
	}
}

var missingDependencies = regexp.MustCompile(`missing in charts/ directory: (.+)`)

// missingIn are the dependencies for the want of which Helm refuses a chart.
func missingIn(err error) []string {
	if err == nil {
		return nil
	}
	if m := missingDependencies.FindStringSubmatch(err.Error()); m != nil {
		return strings.Split(m[1], ", ")
	}
	return nil
}

// without is a copy of a chart that doesn't declare these dependencies.
func without(t testing.TB, folder string, names []string) string {
	t.Helper()
	copied := filepath.Join(t.TempDir(), filepath.Base(folder))
	require.NoError(t, os.CopyFS(copied, os.DirFS(folder)))
	file := filepath.Join(copied, "Chart.yaml")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var chart map[string]any
	require.NoError(t, yaml.Unmarshal(text, &chart))
	dependencies, _ := chart["dependencies"].([]any)
	chart["dependencies"] = slices.DeleteFunc(dependencies, func(dependency any) bool {
		fields, _ := dependency.(map[string]any)
		name, _ := fields["name"].(string)
		return slices.Contains(names, name)
	})
	text, err = yaml.Marshal(chart)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, text, 0o600))
	return copied
}
