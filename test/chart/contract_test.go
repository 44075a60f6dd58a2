package chart_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gruntwork-io/terratest/modules/helm"
	"github.com/gruntwork-io/terratest/modules/k8s"
	"github.com/gruntwork-io/terratest/modules/logger"
	"github.com/stretchr/testify/require"
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

// CHARTS_DIR names a folder of anybody's charts: those that Helm renders with their own values must be rendered alike, and
// those that it refuses must be refused.
func TestHelmRendersTheSameOfOtherCharts(t *testing.T) {
	folder := os.Getenv("CHARTS_DIR")
	if folder == "" {
		t.Skip("CHARTS_DIR names no folder of charts")
	}
	found, err := filepath.Glob(filepath.Join(folder, "*", "Chart.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, found, "%s: no chart in there", folder)
	for _, file := range found {
		path := filepath.Dir(file)
		t.Run(filepath.Base(path), func(t *testing.T) {
			own, ownErr := hcchart(t, "render", path, "--release", release, "--namespace", namespace, "--kube-version", kubeVersion)
			options := &helm.Options{Logger: logger.Discard, KubectlOptions: k8s.NewKubectlOptions("", "", namespace)}
			helms, _, helmErr := helm.RenderTemplateAndGetStdOutErrContextE(t, t.Context(), options, path, release, nil, "--kube-version", kubeVersion, "--no-hooks=false")
			if helmErr != nil {
				require.Error(t, ownErr, "Helm refuses it: %v", helmErr)
				t.Logf("refused by both: %v", ownErr)
				return
			}
			require.NoError(t, ownErr)
			require.ElementsMatch(t, objects(t, helms), objects(t, own))
		})
	}
}
