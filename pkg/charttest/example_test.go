package charttest_test

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/tmorin/homecloud/pkg/charttest"
)

// One chart, several sets of values: a test for each file of ci/.
func TestEveryVariantAsRecorded(t *testing.T) {
	web := charttest.Load(t, "testdata/web")
	charttest.Variants(t, "testdata/web/ci/*.yaml", func(t *testing.T, variant charttest.Option) {
		web.Render(t, variant).Golden("testdata/golden/" + t.Name() + ".yaml")
	})
}

// Fields by their path.
func TestLargeInstallation(t *testing.T) {
	web := charttest.Load(t, "testdata/web").Render(t, charttest.ValuesFiles("testdata/web/ci/large.yaml"))
	deployment := web.Object("Deployment", "release")
	deployment.Field("spec.replicas").Equals(3)
	deployment.Field("spec.template.spec.containers[name=web].args").Contains("--listen")
	deployment.Field("spec.template.spec.hostNetwork").Absent()
	web.Object("ConfigMap", "cache").Field("data").Contains("memory")
	web.Lacks("Ingress", "release")
}

// Objects as Kubernetes' own Go types.
func TestTypedObjects(t *testing.T) {
	web := charttest.Load(t, "testdata/web").Render(t, charttest.Set("image.tag", "1.30"), charttest.Release("shop", "town"))
	deployment := charttest.Get[*appsv1.Deployment](web, "shop")
	if image := deployment.Spec.Template.Spec.Containers[0].Image; image != "nginx:1.30" {
		t.Errorf("image %s", image)
	}
}

// What a chart refuses, and what it says.
func TestImpossibleValues(t *testing.T) {
	web := charttest.Load(t, "testdata/web")
	web.Refuses(t, "replicas: minimum: got 0, want 1", charttest.Set("replicas", 0))
	web.Refuses(t, "name a host", charttest.Values(map[string]any{"ingress": map[string]any{"enabled": true, "host": ""}}))
}
