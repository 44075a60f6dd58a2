package chart_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// installed are the objects that `hcchart up` installs, by release; a release without any isn't there.
func installed(t *testing.T, example string) map[string][]*unstructured.Unstructured {
	t.Helper()
	off := filepath.Join(t.TempDir(), "off.yaml")
	require.NoError(t, os.WriteFile(off, []byte("platform: {enabled: false}\n"), 0o600))
	found := map[string][]*unstructured.Unstructured{}
	for name, arguments := range map[string][]string{
		"homecloud-platform": {"render", "platform"},
		"homecloud":          {"render", "homecloud", "--values", off},
	} {
		text, err := hcchart(t, append([]string{"-f", example, "--log-level", "error"}, append(arguments, "--release", name, "--namespace", name, "--kube-version", kubeVersion)...)...)
		require.NoError(t, err)
		if list := objects(t, text); len(list) > 0 {
			found[name] = list
		}
	}
	return found
}

// helmIn runs Helm as a controller does, in a folder.
func helmIn(t *testing.T, version, folder string, arguments ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), filepath.Join(helms, version, "helm"), arguments...)
	command.Dir = folder
	var problems bytes.Buffer
	command.Stderr = &problems
	output, err := command.Output()
	require.NoError(t, err, "helm %q: %s", arguments, problems.String())
	return string(output)
}

// repository is a Git repository's work tree in which the folder "cloud" is what hcchart gitops writes for a tool, and the
// objects in its releases folder.
func repository(t *testing.T, tool, example string) (folder string, releases []*unstructured.Unstructured) {
	t.Helper()
	folder = t.TempDir()
	_, err := hcchart(t, "-f", example, "gitops", tool, "--out", filepath.Join(folder, "cloud"), "--path", "cloud", "--repo", "https://git.home/alice/cloud.git")
	require.NoError(t, err)
	files, err := filepath.Glob(filepath.Join(folder, "cloud", "releases", "*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		releases = append(releases, objects(t, string(text))...)
	}
	return folder, releases
}

func field(t *testing.T, object *unstructured.Unstructured, path string) string {
	t.Helper()
	value, found, err := unstructured.NestedString(object.Object, strings.Split(path, ".")...)
	require.NoError(t, err)
	require.True(t, found, path)
	return value
}

// valuesFile writes the values at a path of an object, through JSON as both tools do.
func valuesFile(t *testing.T, object *unstructured.Unstructured, path ...string) string {
	t.Helper()
	values, found, err := unstructured.NestedMap(object.Object, path...)
	require.NoError(t, err)
	require.True(t, found, path)
	text, err := yaml.Marshal(values)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "values")
	require.NoError(t, os.WriteFile(file, text, 0o600))
	return file
}

// The arguments are those of Argo CD 3.5.1 (util/helm/cmd.go, template), and the API versions some of those that a cluster
// offers. It doesn't call `helm dependency build` unless Helm asks for it.
func TestArgoCDRendersWhatUpInstalls(t *testing.T) {
	eachExample(t, func(t *testing.T, example string) {
		want := installed(t, example)
		folder, releases := repository(t, "argocd", example)
		require.Len(t, releases, len(want))
		for _, application := range releases {
			name := field(t, application, "spec.source.helm.releaseName")
			require.Equal(t, name, application.GetName(), "Argo CD's label and Helm's are the same")
			values := valuesFile(t, application, "spec", "source", "helm", "valuesObject")
			for _, version := range []string{"helm3", "helm4"} {
				text := helmIn(t, version, filepath.Join(folder, field(t, application, "spec.source.path")),
					"template", ".", "--name-template", name, "--namespace", field(t, application, "spec.destination.namespace"),
					"--kube-version", kubeVersion, "--values", values,
					"--api-versions", "v1", "--api-versions", "v1/ConfigMap", "--api-versions", "apps/v1", "--api-versions", "apps/v1/DaemonSet",
					"--include-crds")
				require.ElementsMatch(t, want[name], objects(t, text), "%s %s", name, version)
			}
		}
	})
}

// Flux packs the chart of a Git repository with the commit in its version (source-controller 1.9.1), and gives Helm the
// values of the HelmRelease (helm-controller 1.6.3).
func TestFluxRendersWhatUpInstalls(t *testing.T) {
	eachExample(t, func(t *testing.T, example string) {
		want := installed(t, example)
		folder, releases := repository(t, "flux", example)
		require.Len(t, releases, len(want))
		for _, release := range releases {
			name := field(t, release, "spec.releaseName")
			values := valuesFile(t, release, "spec", "values")
			for _, version := range []string{"helm3", "helm4"} {
				packed := t.TempDir()
				helmIn(t, version, folder, "package", field(t, release, "spec.chart.spec.chart"), "--version", "0.1.0+0123456789ab", "--destination", packed)
				archives, err := filepath.Glob(filepath.Join(packed, "*.tgz"))
				require.NoError(t, err)
				require.Len(t, archives, 1)
				text := helmIn(t, version, folder, "template", name, archives[0], "--namespace", field(t, release, "spec.targetNamespace"),
					"--kube-version", kubeVersion, "--values", values, "--include-crds")
				require.ElementsMatch(t, want[name], objects(t, text), "%s %s", name, version)
			}
		}
	})
}

func eachExample(t *testing.T, test func(t *testing.T, example string)) {
	t.Helper()
	examples, err := filepath.Glob(filepath.Join(root, "examples", "*.yaml"))
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(examples), 4)
	for _, example := range examples {
		t.Run(strings.TrimSuffix(filepath.Base(example), ".yaml"), func(t *testing.T) { test(t, example) })
	}
}
