package charttest

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// recorder is a test that fails without failing the one it is part of.
type recorder struct {
	testing.TB
	said  []string
	ended bool
}

func (r *recorder) Helper() {}
func (r *recorder) Errorf(format string, arguments ...any) {
	r.said = append(r.said, fmt.Sprintf(format, arguments...))
}
func (r *recorder) Fatal(arguments ...any) { r.Errorf("%s", fmt.Sprint(arguments...)); r.end() }
func (r *recorder) Fatalf(format string, arguments ...any) {
	r.Errorf(format, arguments...)
	r.end()
}

func (r *recorder) end() {
	r.ended = true
	runtime.Goexit()
}

// failing returns what a test says that must fail.
func failing(t *testing.T, test func(testing.TB)) string {
	t.Helper()
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		test(r)
	}()
	<-done
	require.NotEmpty(t, r.said, "the test must fail")
	return strings.Join(r.said, "\n")
}

const large = "testdata/web/ci/large.yaml"

func TestFailuresShowTheLinesThatDecide(t *testing.T) {
	for name, test := range map[string]struct {
		fails func(testing.TB)
		want  string
	}{
		"a value of a file": {func(t testing.TB) {
			Load(t, "testdata/web").Render(t, ValuesFiles(large)).Object("Deployment", "release").Field("spec.replicas").Equals(2)
		}, `Deployment release (web/templates/deployment.yaml): spec.replicas is 3, want 2
decided by
  testdata/web/ci/large.yaml:2: replicas: 3`},
		"defaults of the chart, in spite of the schema": {func(t testing.TB) {
			Load(t, "testdata/web").Render(t).Object("Deployment", "release").Field("spec.template.spec.containers[0].image").Contains("apache")
		}, `Deployment release (web/templates/deployment.yaml): spec.template.spec.containers[0].image is nginx:1.29, which doesn't contain apache
decided by
  web/values.yaml:3: image.repository: nginx
  web/values.yaml:4: image.tag: "1.29"`},
		"a default of a dependency": {func(t testing.TB) {
			Load(t, "testdata/web").Render(t, Set("cache.enabled", true)).Object("ConfigMap", "cache").Field("data.memory").Equals("1Gi")
		}, `ConfigMap cache (web/charts/cache/templates/config.yaml): data.memory is 64Mi, want 1Gi
decided by
  web/charts/cache/values.yaml:2: cache.memory: 64Mi`},
		"the test itself": {func(t testing.TB) {
			Load(t, "testdata/web").Render(t, Set("replicas", 5)).Object("Deployment", "release").Field("spec.replicas").Absent()
		}, `Deployment release (web/templates/deployment.yaml): spec.replicas is 5, want nothing
decided by
  the test itself: replicas: 5`},
		"nothing": {func(t testing.TB) {
			Load(t, "testdata/web").Render(t).Object("Deployment", "release").Field(`metadata.annotations["example.org/a.b"]`).Equals("no")
		}, `Deployment release (web/templates/deployment.yaml): metadata.annotations["example.org/a.b"] is "yes", want "no"`},
		"an object that isn't there": {func(t testing.TB) {
			Load(t, "testdata/web").Render(t, ValuesFiles(large)).Object("Ingress", "release")
		}, `chart web renders no Ingress release with testdata/web/ci/large.yaml, but
  ConfigMap cache
  Deployment release
it is there when this is changed
  web/values.yaml:7: ingress.enabled: false`},
		"an object that shouldn't be there": {func(t testing.TB) {
			Load(t, "testdata/web").Render(t).Lacks("Deployment", "release")
		}, `chart web renders the Deployment release (web/templates/deployment.yaml)`},
		"a field that isn't there": {func(t testing.TB) {
			Load(t, "testdata/web").Render(t).Object("Deployment", "release").Field("spec.paused").Present()
		}, `Deployment release (web/templates/deployment.yaml): spec.paused isn't there`},
		"a path that is none": {func(t testing.TB) {
			Load(t, "testdata/web").Render(t).Object("Deployment", "release").Field("spec..x").Present()
		}, `the path spec..x: "..x" is no step; write .field, [0], [name=web] or ["a.b"]`},
		"values that are refused": {func(t testing.TB) { Load(t, "testdata/web").Render(t, Set("replicas", "many")) },
			"values: replicas: got string, want integer\n"},
		"a refusal that doesn't come": {func(t testing.TB) { Load(t, "testdata/web").Refuses(t, "no", Set("replicas", 2)) },
			"chart web takes these values, but should refuse them and say: no"},
		"a refusal in other words": {func(t testing.TB) { Load(t, "testdata/web").Refuses(t, "never", Set("replicas", 0)) },
			"chart web refuses these values, but says\n  values: replicas: minimum: got 0, want 1\ninstead of\n  never"},
		"a type of another kind": {func(t testing.TB) { Get[*corev1.Secret](Load(t, "testdata/web").Render(t), "release") },
			"chart web renders no Secret release, but\n  Deployment release"},
		"a bracket in the path of a value": {func(t testing.TB) { Load(t, "testdata/web").Render(t, Set("image.tag.x[", 1)) },
			`Set("image.tag.x["): names parted by dots, such as image.registry; for lists and other names there is Values`},
		"an entry of a list as a value":  {func(t testing.TB) { Load(t, "testdata/web").Render(t, Set("hosts[0]", 1)) }, `Set("hosts[0]"): `},
		"an empty name in the path":      {func(t testing.TB) { Load(t, "testdata/web").Render(t, Set("image..tag", 1)) }, `Set("image..tag"): `},
		"no path":                        {func(t testing.TB) { Load(t, "testdata/web").Render(t, Set("", 1)) }, `Set(""): `},
		"a dot that Helm takes for none": {func(t testing.TB) { Load(t, "testdata/web").Render(t, Set(`a\.b`, 1)) }, `Set("a\\.b"): `},
		"several values at once":         {func(t testing.TB) { Load(t, "testdata/web").Render(t, Set("a=1,b", 1)) }, `Set("a=1,b"): `},
		"a chart that isn't there":       {func(t testing.TB) { Load(t, "testdata/nowhere") }, "stat "},
		"values that aren't there": {func(t testing.TB) { Load(t, "testdata/web").Render(t, ValuesFiles("nowhere.yaml")) },
			"open nowhere.yaml: no such file or directory"},
	} {
		t.Run(name, func(t *testing.T) {
			got := failing(t, test.fails)
			if strings.HasSuffix(test.want, " ") {
				require.Contains(t, got, test.want)
				return
			}
			require.Equal(t, test.want, got)
		})
	}
}

// What decides may stand in a template that another one includes, by its path or
// by what it defines; what a third template refuses is no reason.
func TestValuesThatDecideByOtherTemplatesAreFound(t *testing.T) {
	for path, want := range map[string]string{
		"metadata.annotations.words":    "sums/values.yaml:1: greeting: hello",
		"metadata.annotations.limit":    "sums/values.yaml:3: limit: 1",
		"metadata.annotations.farewell": "sums/values.yaml:2: farewell: bye",
	} {
		said := failing(t, func(t testing.TB) { Load(t, "testdata/sums").Render(t).Object("Pod", "pod").Field(path).Equals("x") })
		require.True(t, strings.HasSuffix(said, "want x\ndecided by\n  "+want), said)
	}
}

// A failed assertion looks at what another one has tried already.
func TestEachOtherValueIsTriedOnce(t *testing.T) {
	r := Load(t, "testdata/sums").Render(t, Set("limit", 17))
	fail := func(kind, name, path string) int {
		failing(t, func(t testing.TB) {
			Load(t, "testdata/sums").Render(t, Set("limit", 17)).Object(kind, name).Field(path).Equals("x")
		})
		tried := 0
		r.result.others.Range(func(any, any) bool { tried++; return true })
		return tried
	}
	once := fail("Pod", "pod", "metadata.annotations.words")
	require.Equal(t, 3, once)
	require.Equal(t, once, fail("Pod", "pod", "metadata.annotations.limit"))
}

func TestGoldenShowsTheDifference(t *testing.T) {
	Load(t, "testdata/web").Render(t).Golden("testdata/golden/defaults.yaml")
	if *update {
		return
	}
	said := failing(t, func(t testing.TB) {
		Load(t, "testdata/web").Render(t, Set("replicas", 9)).Golden("testdata/golden/defaults.yaml")
	})
	require.Contains(t, said, "-  replicas: 1\n+  replicas: 9\n")
	require.Contains(t, failing(t, func(t testing.TB) { Load(t, "testdata/web").Render(t).Golden("testdata/golden/none.yaml") }),
		"testdata/golden/none.yaml isn't there; `go test -update` writes it")
}

func TestAChartIsRenderedOnceForASetOfValues(t *testing.T) {
	c := Load(t, "testdata/web")
	require.Same(t, c.Render(t, Set("replicas", 4)).result, c.Render(t, Set("replicas", 4)).result)
	require.NotSame(t, c.Render(t, Set("replicas", 4)).result, c.Render(t, Set("replicas", 5)).result)
}

func TestAllObjectsOfAType(t *testing.T) {
	r := Load(t, "testdata/web").Render(t, ValuesFiles(large))
	require.Len(t, All[*appsv1.Deployment](r), 1)
	require.Len(t, All[*corev1.ConfigMap](r), 1)
	require.Empty(t, All[*corev1.Secret](r))
}
