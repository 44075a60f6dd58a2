package chart_test

import (
	"testing"

	"github.com/gruntwork-io/terratest/modules/helm"
	"github.com/gruntwork-io/terratest/modules/logger"
	"github.com/stretchr/testify/require"
)

func TestScenariosRenderTheSameBytesTwice(t *testing.T) {
	for _, version := range []string{"helm3", "helm4"} {
		for _, s := range scenarios(t) {
			t.Run(version+" "+s.String(), func(t *testing.T) {
				with(t, version)
				first, err := render(t, s.chart, []string{s.values})
				require.NoError(t, err)
				second, err := renderAgain(t, s.chart, []string{s.values})
				require.NoError(t, err)
				require.Equal(t, first, second)
			})
		}
	}
}

func TestLintFindsNothing(t *testing.T) {
	for _, version := range []string{"helm3", "helm4"} {
		for _, s := range scenarios(t) {
			t.Run(version+" "+s.String(), func(t *testing.T) {
				with(t, version)
				output, err := helm.RunHelmCommandAndGetOutputContextE(t, t.Context(), &helm.Options{Logger: logger.Discard},
					"lint", "--strict", "--kube-version", kubeVersion, "--values", s.values, chart(t, s.chart))
				require.NoError(t, err, output)
			})
		}
	}
}
