package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gruntwork-io/terratest/modules/helm"
	"github.com/gruntwork-io/terratest/modules/logger"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/tmorin/homecloud/test/cloud"
)

// subject is a chart that is measured, and one value of it that shows in a field.
type subject struct {
	name, folder, values       string
	value, kind, object, field string
	template                   string // that makes the object, for tools that want to be told
	index                      int    // of the object in there
	sets                       string // folder of ten values files
}

// BenchmarkToolkit measures what `hcchart check` and charttest do beside other
// tools that do the same, in turns.
func BenchmarkToolkit(b *testing.B) {
	root, err := cloud.Checkout()
	require.NoError(b, err)
	path := b.TempDir() // with the helm that Terratest looks for
	require.NoError(b, os.Symlink(filepath.Join(root, "bin", "helm3"), filepath.Join(path, "helm")))
	b.Setenv("PATH", path+":"+filepath.Join(root, "bin")+":"+os.Getenv("PATH"))
	schemas := filepath.Join(b.TempDir(), "schemas")
	writeSchemas(b, schemas)
	ours := filepath.Join(b.TempDir(), "charttest.test")
	run(b, root, "go", "test", "-c", "-o", ours, "./pkg/charttest")
	for _, s := range []subject{umbrella(b, root), synthetic(b)} {
		var check, peers, tests, terratest, unittest []float64
		for range 5 {
			check = append(check, seconds(func() {
				found(b, "hcchart", "check", s.folder, "--values", s.values, "--matrix", s.sets, "--kube-version", kubeMinor)
			}))
			peers = append(peers, seconds(func() { s.checkWithPeers(b, schemas) }))
		}
		for range 3 {
			tests = append(tests, seconds(func() { s.charttest(b, ours) }))
			unittest = append(unittest, seconds(func() { s.unittest(b) }))
		}
		terratest = append(terratest, seconds(func() { s.terratest(b) }))
		fmt.Printf("%s, ten sets of values: hcchart check %.2f s, helm template + kubeconform -strict + kube-score %.2f s: %.1f times faster\n",
			s.name, middle(check), middle(peers), middle(peers)/middle(check))
		fmt.Printf("%s, a hundred tests: charttest %.2f s, Terratest %.2f s: %.1f times faster; helm-unittest %.2f s: %.1f times faster\n",
			s.name, middle(tests), middle(terratest), middle(terratest)/middle(tests), middle(unittest), middle(unittest)/middle(tests))
	}
}

// kubeMinor is the version that everybody checks against.
const kubeMinor = "1.36"

func middle(figures []float64) float64 {
	slices.Sort(figures)
	return figures[len(figures)/2]
}

func run(b *testing.B, dir string, name string, arguments ...string) {
	b.Helper()
	command := exec.CommandContext(b.Context(), name, arguments...)
	command.Dir = dir
	output, err := command.CombinedOutput()
	require.NoError(b, err, "%s: %s", command, output)
}

// found runs a checker, which may find something.
func found(b *testing.B, name string, arguments ...string) []byte {
	b.Helper()
	command := exec.CommandContext(b.Context(), name, arguments...)
	output, err := command.CombinedOutput()
	if err != nil {
		require.Positive(b, command.ProcessState.ExitCode(), "%s: %v", command, err)
	}
	require.NotEmpty(b, output)
	return output
}

func (s subject) checkWithPeers(b *testing.B, schemas string) {
	b.Helper()
	files, err := filepath.Glob(filepath.Join(s.sets, "*.yaml"))
	require.NoError(b, err)
	require.Len(b, files, 10)
	rendered := filepath.Join(b.TempDir(), "rendered.yaml")
	for _, file := range files {
		text, err := exec.CommandContext(b.Context(), "helm", "template", "homecloud", s.folder, "--namespace", "homecloud", "-f", s.values, "-f", file).Output()
		require.NoError(b, err)
		require.NoError(b, os.WriteFile(rendered, text, 0o600))
		run(b, "", "kubeconform", "-strict", "-kubernetes-version", kubeMinor+".0",
			"-schema-location", schemas+"/{{.ResourceKind}}{{.KindSuffix}}.json", rendered)
		found(b, "kube-score", "score", rendered)
	}
}

func (s subject) charttest(b *testing.B, binary string) {
	b.Helper()
	command := exec.CommandContext(b.Context(), binary, "-test.run", "^$", "-test.bench", "HundredTests", "-test.benchtime", "1x")
	command.Env = append(os.Environ(), "HUNDRED_CHART="+s.folder, "HUNDRED_VALUES="+s.values, "HUNDRED_VALUE="+s.value,
		"HUNDRED_KIND="+s.kind, "HUNDRED_NAME="+s.object, "HUNDRED_FIELD="+s.field)
	output, err := command.CombinedOutput()
	require.NoError(b, err, "%s", output)
}

// terratest does the same with the helm binary.
func (s subject) terratest(b *testing.B) {
	b.Helper()
	for i := range 100 {
		text, err := helm.RenderTemplateContextE(b, b.Context(), &helm.Options{
			ValuesFiles: []string{s.values}, SetValues: map[string]string{s.value: fmt.Sprint(3000 + i)}, Logger: logger.Discard,
		}, s.folder, "release", nil)
		require.NoError(b, err)
		var objects []unstructured.Unstructured
		for _, document := range strings.Split(text, "\n---\n") {
			var object unstructured.Unstructured
			require.NoError(b, helm.UnmarshalK8SYamlE(b, document, &object.Object))
			objects = append(objects, object)
		}
		at := slices.IndexFunc(objects, func(o unstructured.Unstructured) bool { return o.GetKind() == s.kind && o.GetName() == s.object })
		require.GreaterOrEqual(b, at, 0)
		got, _, err := unstructured.NestedFieldNoCopy(objects[at].Object, strings.Split(s.field, ".")...)
		require.NoError(b, err)
		require.EqualValues(b, 3000+i, got)
	}
}

// unittest does the same with helm-unittest: one suite, a hundred tests.
func (s subject) unittest(b *testing.B) {
	b.Helper()
	var suite strings.Builder
	suite.WriteString("suite: hundred\nrelease: {name: release}\nvalues: [" + s.values + "]\ntests:\n")
	for i := range 100 {
		fmt.Fprintf(&suite, "  - {it: test %d, template: %s, set: {%s: %d}, asserts: [{equal: {path: %s, value: %d}, documentIndex: %d}]}\n",
			i, s.template, s.value, 3000+i, s.field, 3000+i, s.index)
	}
	tests := filepath.Join(s.folder, "tests")
	require.NoError(b, os.MkdirAll(tests, 0o750))
	require.NoError(b, os.WriteFile(filepath.Join(tests, "hundred_test.yaml"), []byte(suite.String()), 0o600))
	run(b, "", "helm-unittest", "--strict", s.folder)
	require.NoError(b, os.RemoveAll(tests))
}

// umbrella is homecloud's own chart, packaged with what it depends on.
func umbrella(b *testing.B, root string) subject {
	b.Helper()
	dir := b.TempDir()
	run(b, root, "hcchart", "package", "--charts", "charts", "homecloud", "--without", "longhorn,traefik,kube-prometheus-stack,headlamp,portainer", "--out", dir)
	archives, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	require.NoError(b, err)
	require.Len(b, archives, 1)
	run(b, dir, "tar", "-xzf", archives[0])
	values := filepath.Join(root, "charts", "homecloud", "ci", "whole-values.yaml")
	sets := filepath.Join(dir, "sets")
	require.NoError(b, os.Mkdir(sets, 0o750))
	for i := range 10 {
		set := fmt.Sprintf("dnas: {owner: {gid: %d}, shares: {share-%d: {access: {alice: write}}}}\n", 3000+i, i)
		require.NoError(b, os.WriteFile(filepath.Join(sets, fmt.Sprintf("%d.yaml", i)), []byte(set), 0o600))
	}
	return subject{name: "homecloud's umbrella", folder: filepath.Join(dir, "homecloud"), values: values, sets: sets,
		value: "dnas.owner.gid", kind: "DaemonSet", object: "release-dnas-syncthing", field: "spec.template.spec.securityContext.fsGroup",
		template: "charts/dnas/templates/syncthing-daemonset.yaml"}
}

// synthetic is an umbrella of 5 charts with 6 workloads each, 151 objects.
func synthetic(b *testing.B) subject {
	b.Helper()
	dir := b.TempDir()
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		require.NoError(b, os.MkdirAll(filepath.Dir(path), 0o750))
		require.NoError(b, os.WriteFile(path, []byte(text), 0o600))
	}
	template, err := os.ReadFile("testdata/workload.yaml")
	require.NoError(b, err)
	write("synthetic/Chart.yaml", "apiVersion: v2\nname: synthetic\nversion: 1.0.0\n")
	write("synthetic/values.yaml", "global: {}\n")
	write("synthetic/templates/all.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: all}\n")
	for i := range 5 {
		chart := fmt.Sprintf("synthetic/charts/sub%d/", i)
		write(chart+"Chart.yaml", fmt.Sprintf("apiVersion: v2\nname: sub%d\nversion: 1.0.0\n", i))
		write(chart+"values.yaml", "replicas: 1\nimage: docker.io/library/web:1.0.0\nmessage: 'release {{ .Release.Name }}'\nworkloads: [one, two, three, four, five, six]\n")
		write(chart+"templates/workload.yaml", string(template))
	}
	write("values.yaml", "sub0: {message: hello}\n")
	for i := range 10 {
		write(fmt.Sprintf("sets/%d.yaml", i), fmt.Sprintf("sub%d: {replicas: %d}\n", i%5, i+2))
	}
	return subject{name: "151 objects", folder: filepath.Join(dir, "synthetic"), values: filepath.Join(dir, "values.yaml"), sets: filepath.Join(dir, "sets"),
		value: "sub3.replicas", kind: "Deployment", object: "sub3-four", field: "spec.replicas", template: "charts/sub3/templates/workload.yaml", index: 3*5 + 4}
}

// writeSchemas writes what kubeconform validates with, from the OpenAPI
// documents of Kubernetes' source: a file for each kind, strict.
func writeSchemas(b *testing.B, folder string) {
	b.Helper()
	output, err := exec.CommandContext(b.Context(), "go", "mod", "download", "-json", "k8s.io/kubernetes@v"+kubeMinor+".3").Output()
	require.NoError(b, err)
	var module struct{ Dir string }
	require.NoError(b, json.Unmarshal(output, &module))
	files, err := filepath.Glob(filepath.Join(module.Dir, "api", "openapi-spec", "v3", "*_openapi.json"))
	require.NoError(b, err)
	require.NotEmpty(b, files)
	require.NoError(b, os.MkdirAll(folder, 0o750))
	for _, file := range files {
		content, err := os.ReadFile(file)
		require.NoError(b, err)
		var document struct {
			Components struct{ Schemas map[string]map[string]any }
		}
		require.NoError(b, json.Unmarshal(content, &document))
		definitions := document.Components.Schemas
		kinds := map[string]string{}
		for name, schema := range definitions {
			if _, has := schema["properties"]; has && schema["additionalProperties"] == nil {
				schema["additionalProperties"] = false
			}
			for _, kind := range list(schema["x-kubernetes-group-version-kind"]) {
				group, _ := kind["group"].(string)
				suffix, _, _ := strings.Cut(group, ".")
				parts := slices.DeleteFunc([]string{strings.ToLower(fmt.Sprint(kind["kind"])), suffix, fmt.Sprint(kind["version"])}, func(part string) bool { return part == "" })
				kinds[strings.Join(parts, "-")] = name
			}
			switch name {
			case "io.k8s.apimachinery.pkg.api.resource.Quantity", "io.k8s.apimachinery.pkg.util.intstr.IntOrString":
				definitions[name] = map[string]any{"type": []string{"string", "number"}}
			}
		}
		for kind, name := range kinds {
			text, err := json.Marshal(map[string]any{"$ref": "#/components/schemas/" + name, "components": map[string]any{"schemas": reachable(definitions, name)}})
			require.NoError(b, err)
			require.NoError(b, os.WriteFile(filepath.Join(folder, kind+".json"), text, 0o600))
		}
	}
}

func list(value any) (maps []map[string]any) {
	items, _ := value.([]any)
	for _, item := range items {
		maps = append(maps, item.(map[string]any))
	}
	return maps
}

// reachable are a definition and those that it refers to.
func reachable(definitions map[string]map[string]any, name string) map[string]any {
	needed := map[string]any{}
	open := []string{name}
	for len(open) > 0 {
		name, open = open[0], open[1:]
		if needed[name] != nil {
			continue
		}
		needed[name] = definitions[name]
		text, _ := json.Marshal(definitions[name])
		for _, part := range bytes.Split(text, []byte(`"#/components/schemas/`))[1:] {
			reference, _, _ := bytes.Cut(part, []byte(`"`))
			open = append(open, string(reference))
		}
	}
	return needed
}
