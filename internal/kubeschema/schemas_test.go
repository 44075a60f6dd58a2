package kubeschema_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/tmorin/homecloud/internal/kubeschema"
)

func read(t testing.TB, file string, into any) {
	t.Helper()
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(content, into))
}

func schemas(t testing.TB) *kubeschema.Schemas {
	t.Helper()
	s, err := kubeschema.Builtin()
	require.NoError(t, err)
	var crd map[string]any
	read(t, "testdata/crd.yaml", &crd)
	s, err = s.With(crd)
	require.NoError(t, err)
	return s
}

func TestObjects(t *testing.T) { requireProblems(t, schemas(t), "testdata/objects.yaml") }

// requireProblems validates the objects of a file and compares what is found.
func requireProblems(t *testing.T, s *kubeschema.Schemas, file string) {
	t.Helper()
	var tests []struct {
		Name, Object string
		Want         []string
		Unknown      bool
	}
	read(t, file, &tests)
	for _, test := range tests {
		t.Run(test.Name, func(t *testing.T) {
			var value map[string]any
			require.NoError(t, yaml.Unmarshal([]byte(test.Object), &value))
			result, err := s.Validate([]byte(test.Object), value, s.Versions())
			require.NoError(t, err)
			var got []string
			for _, problem := range result.Problems {
				got = append(got, problem.String())
			}
			require.Equal(t, test.Want, got)
			require.Equal(t, test.Unknown, result.Unknown)
		})
	}
}

func TestVersionThatIsntHere(t *testing.T) {
	s := schemas(t)
	_, err := s.Validate([]byte("apiVersion: v1\nkind: Pod\n"), map[string]any{"apiVersion": "v1", "kind": "Pod"}, []string{"1.20"})
	require.EqualError(t, err, "the schemas of Kubernetes 1.20 aren't here; there are those of 1.34, 1.35, 1.36 and 1.37")
}

func TestScope(t *testing.T) {
	s := schemas(t)
	for _, test := range []struct {
		apiVersion, kind  string
		namespaced, known bool
	}{
		{"apps/v1", "Deployment", true, true}, {"v1", "Namespace", false, true}, {"example.org/v1", "Backup", true, true}, {"x/v1", "Y", false, false},
	} {
		namespaced, known := s.Scope(test.apiVersion, test.kind)
		require.Equal(t, test.namespaced, namespaced, test.kind)
		require.Equal(t, test.known, known, test.kind)
	}
}

func TestListsThatServerSideApplyMerges(t *testing.T) {
	keys := schemas(t).MapKeys("apps/v1", "Deployment")
	require.Equal(t, []string{"name"}, keys["spec.template.spec.containers[].env"])
	require.Equal(t, []string{"containerPort", "protocol"}, keys["spec.template.spec.containers[].ports"])
	require.Equal(t, []string{"mountPath"}, keys["spec.template.spec.containers[].volumeMounts"])
}

func BenchmarkValidate(b *testing.B) {
	var tests []struct{ Object string }
	read(b, "testdata/objects.yaml", &tests)
	var value map[string]any
	require.NoError(b, yaml.Unmarshal([]byte(tests[0].Object), &value))
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			s, err := kubeschema.Builtin()
			require.NoError(b, err)
			_, err = s.Validate([]byte(tests[0].Object), value, []string{"1.34"})
			require.NoError(b, err)
		}
	})
	s := schemas(b)
	b.Run("next", func(b *testing.B) {
		for b.Loop() {
			_, err := s.Validate([]byte(tests[0].Object), value, []string{"1.34"})
			require.NoError(b, err)
		}
	})
}
