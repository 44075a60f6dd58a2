package chart_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gruntwork-io/terratest/modules/helm"
	"github.com/gruntwork-io/terratest/modules/logger"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/client-go/kubernetes/scheme"
)

func TestScenariosRenderAsRecorded(t *testing.T) {
	for _, s := range scenarios(t) {
		t.Run(s.String(), func(t *testing.T) {
			text, err := render(t, s.chart, []string{s.values})
			require.NoError(t, err)
			golden(t, s.String()+".yaml", normalised(text))
		})
	}
}

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

func TestHelm4RendersTheSameObjects(t *testing.T) {
	for _, s := range scenarios(t) {
		t.Run(s.String(), func(t *testing.T) {
			three, err := render(t, s.chart, []string{s.values})
			require.NoError(t, err)
			with(t, "helm4")
			four, err := render(t, s.chart, []string{s.values})
			require.NoError(t, err)
			require.Equal(t, objects(t, three), objects(t, four))
		})
	}
}

// A chart that asks the cluster for its version would render otherwise under Argo CD, which tells it another one.
func TestEveryKubernetesVersionGetsTheSameObjects(t *testing.T) {
	for _, s := range scenarios(t) {
		t.Run(s.String(), func(t *testing.T) {
			want, err := render(t, s.chart, []string{s.values})
			require.NoError(t, err)
			for _, version := range []string{"1.29.0", "1.37.0"} {
				got, err := render(t, s.chart, []string{s.values}, "--kube-version", version)
				require.NoError(t, err)
				require.Equal(t, want, got, version)
			}
		})
	}
}

func TestOlderKubernetesIsRefused(t *testing.T) {
	for _, name := range []string{"dnas", "platform", "homecloud"} {
		_, err := render(t, name, nil, "--kube-version", "1.28.9")
		require.ErrorContains(t, err, "requires kubeVersion: >=1.29.0-0", name)
	}
}

// Server-side apply refuses what client-side apply let pass, and either leaves out fields that it doesn't know.
func TestObjectsDecodeStrictly(t *testing.T) {
	strict := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme.Scheme, scheme.Scheme, json.SerializerOptions{Yaml: true, Strict: true})
	for _, s := range scenarios(t) {
		t.Run(s.String(), func(t *testing.T) {
			text, err := render(t, s.chart, []string{s.values})
			require.NoError(t, err)
			for _, document := range documents(text) {
				_, _, err := strict.Decode([]byte(document), nil, nil)
				require.NoError(t, err, document)
			}
		})
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

// normalised leaves out what says nothing: the version of each chart, which stands in labels, and blank lines.
func normalised(text string) string {
	text = regexp.MustCompile(`(app\.kubernetes\.io/version): .*`).ReplaceAllString(text, `$1: VERSION`)
	text = regexp.MustCompile(`(?m)^\s*\n`).ReplaceAllString(text, "")
	return strings.TrimSpace(text) + "\n"
}

func golden(t testing.TB, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
		return
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err, "run `go test -C test ./chart -update` when the change is meant")
	require.Equal(t, string(want), got, "run `go test -C test ./chart -update` when the change is meant")
}
