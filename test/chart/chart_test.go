// Package chart_test holds the contract of homecloud's charts: the real Helm 3 and Helm 4 make of them, scenario by
// scenario (charts/*/ci), what the tests beside the charts see in process, and refuse the same values.
package chart_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gruntwork-io/terratest/modules/helm"
	"github.com/gruntwork-io/terratest/modules/k8s"
	"github.com/gruntwork-io/terratest/modules/logger"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

const (
	root      = "../.."
	release   = "homecloud"
	namespace = "cloud"
	// kubeVersion is what the scenarios render for unless a test says otherwise. A Helm 3 that wasn't built by its own
	// project believes in a Kubernetes of years ago.
	kubeVersion = "1.34.0"
)

// thirdParty are the dependencies that no test has the archives of.
var thirdParty = []string{"longhorn", "traefik", "kube-prometheus-stack", "headlamp", "portainer"}

// packages holds the charts as they are published, without the third-party dependencies; helms holds one folder per
// Helm with a program called helm in it: Terratest looks it up by that name alone.
var packages, helms string

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	scratch, err := os.MkdirTemp("", "homecloud-charts-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(scratch)
	packages, helms = filepath.Join(scratch, "packages"), filepath.Join(scratch, "helm")
	for _, version := range []string{"helm3", "helm4"} {
		binary, err := filepath.Abs(filepath.Join(root, "bin", version))
		if err != nil {
			return 0, err
		}
		if _, err := os.Stat(binary); err != nil {
			return 0, fmt.Errorf("%w; run `make bin/%s`", err, version)
		}
		if err := os.MkdirAll(filepath.Join(helms, version), 0o755); err != nil {
			return 0, err
		}
		if err := os.Symlink(binary, filepath.Join(helms, version, "helm")); err != nil {
			return 0, err
		}
	}
	// A person's own Helm settings, plugins and registries stay out of it.
	for _, name := range []string{"HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"} {
		if err := os.Setenv(name, filepath.Join(scratch, strings.ToLower(name))); err != nil {
			return 0, err
		}
	}
	if err := os.Setenv("PATH", filepath.Join(helms, "helm3")+":"+os.Getenv("PATH")); err != nil {
		return 0, err
	}
	if err := pack(packages); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// pack makes the packages as a release does.
func pack(out string) error {
	hcchart := filepath.Join(root, "bin", "hcchart")
	command := exec.Command(hcchart, "package", "--charts", filepath.Join(root, "charts"), "--out", out, "--without", strings.Join(thirdParty, ","))
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("hcchart package: %w (run `make bin/hcchart`)\n%s", err, output)
	}
	return nil
}

// chart is the package of a chart.
func chart(t testing.TB, name string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(packages, name+"-[0-9]*.tgz"))
	require.NoError(t, err)
	require.Len(t, found, 1, "packages of %s", name)
	return found[0]
}

// with makes the rest of the test use one Helm.
func with(t *testing.T, version string) {
	t.Helper()
	t.Setenv("PATH", filepath.Join(helms, version)+":"+os.Getenv("PATH"))
}

// scenario is a chart with a values file of its ci folder.
type scenario struct{ chart, name, values string }

func (s scenario) String() string { return s.chart + "-" + s.name }

func scenarios(t testing.TB) []scenario {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "charts", "*", "ci", "*-values.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	var found []scenario
	for _, file := range files {
		found = append(found, scenario{
			chart:  filepath.Base(filepath.Dir(filepath.Dir(file))),
			name:   strings.TrimSuffix(filepath.Base(file), "-values.yaml"),
			values: file,
		})
	}
	return found
}

// rendered remembers what was rendered: starting Helm is what these tests wait for.
var rendered = map[string]string{}

// render renders a chart and gives its text.
func render(t testing.TB, chartName string, valuesFiles []string, arguments ...string) (string, error) {
	t.Helper()
	key := strings.Join(slices.Concat([]string{os.Getenv("PATH"), chartName}, valuesFiles, arguments), "\x00")
	if text, done := rendered[key]; done {
		return text, nil
	}
	text, err := renderAgain(t, chartName, valuesFiles, arguments...)
	if err == nil {
		rendered[key] = text
	}
	return text, err
}

func renderAgain(t testing.TB, chartName string, valuesFiles []string, arguments ...string) (string, error) {
	t.Helper()
	options := &helm.Options{
		Logger:         logger.Discard,
		KubectlOptions: k8s.NewKubectlOptions("", "", namespace),
		ValuesFiles:    valuesFiles,
	}
	if !slices.Contains(arguments, "--kube-version") {
		arguments = append(slices.Clone(arguments), "--kube-version", kubeVersion)
	}
	text, problems, err := helm.RenderTemplateAndGetStdOutErrContextE(t, t.Context(), options, chart(t, chartName), release, nil, arguments...)
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, problems)
	}
	return text, nil
}

// objects splits what Helm printed into its objects.
func objects(t testing.TB, text string) []*unstructured.Unstructured {
	t.Helper()
	var found []*unstructured.Unstructured
	for _, document := range documents(text) {
		object := &unstructured.Unstructured{}
		require.NoError(t, yaml.UnmarshalStrict([]byte(document), &object.Object), document)
		if len(object.Object) > 0 {
			found = append(found, object)
		}
	}
	return found
}

// documents end with one newline each, whatever Helm put between them: a text that is the last of its document would else
// have another end.
func documents(text string) []string {
	var found []string
	for _, document := range strings.Split("\n"+text, "\n---") {
		if document = strings.TrimRight(document, "\n"); strings.TrimSpace(document) != "" {
			found = append(found, document+"\n")
		}
	}
	return found
}
