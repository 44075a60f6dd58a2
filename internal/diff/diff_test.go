package diff_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/tmorin/homecloud/internal/diff"
)

var update = flag.Bool("update", false, "rewrite what the archives expect")

func objects(t *testing.T, text []byte) (objects []map[string]any) {
	t.Helper()
	for document := range strings.SplitSeq(string(text), "---\n") {
		var value map[string]any
		require.NoError(t, yaml.Unmarshal([]byte(document), &value))
		if value != nil {
			objects = append(objects, value)
		}
	}
	return objects
}

var hashed = regexp.MustCompile(`secret [0-9a-f]{8}`)

// TestEffects compares the objects of each archive in testdata: before, after,
// and, where the API server refuses, its words.
func TestEffects(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			require.NoError(t, err)
			of := map[string][]byte{}
			for _, f := range archive.Files {
				of[f.Name] = f.Data
			}
			pairs := diff.Pair(objects(t, of["before"]), objects(t, of["after"]))
			for i := range pairs {
				pairs[i].Refused = strings.TrimSpace(string(of["refused"]))
			}
			changes := diff.Compare(pairs)
			got, err := yaml.Marshal(changes)
			require.NoError(t, err)
			got = hashed.ReplaceAll(got, []byte("secret HASH"))
			if *update {
				for i := range archive.Files {
					if archive.Files[i].Name == "want" {
						archive.Files[i].Data = got
					}
				}
				require.NoError(t, os.WriteFile(file, txtar.Format(archive), 0o600))
				return
			}
			require.Equal(t, string(of["want"]), string(got))
		})
	}
}

// A secret that changes shows that it does, and one that is the same in two
// places looks the same, but only within one run.
func TestMaskIsKeyed(t *testing.T) {
	secret := func(value string) map[string]any {
		return map[string]any{"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "s"}, "data": map[string]any{"a": value, "b": value}}
	}
	compare := func() string {
		text, err := json.Marshal(diff.Compare([]diff.Object{{Before: secret("b2xk"), After: secret("bmV3")}}))
		require.NoError(t, err)
		require.NotContains(t, string(text), "b2xk")
		require.NotContains(t, string(text), "bmV3")
		return string(text)
	}
	first := compare()
	hashes := hashed.FindAllString(first, -1)
	require.Len(t, hashes, 4)
	require.Equal(t, hashes[0], hashes[2])
	require.NotEqual(t, hashes[0], hashes[1])
	require.NotEqual(t, first, compare())
}

func TestEachChangedImageIsNamedOnce(t *testing.T) {
	field := func(path string, before, after any) diff.Field {
		return diff.Field{Path: path, Before: before, After: after}
	}
	require.Equal(t, []diff.Image{{"agent:1", "agent:2"}, {"web:1", "mirror/web:1"}}, diff.Images([]diff.Change{
		{Fields: []diff.Field{
			field("spec.template.spec.containers[name=web].image", "web:1", "mirror/web:1"),
			field("spec.template.spec.containers[name=new].image", nil, "new:1"),
			field("data.image", "a", "b"),
		}},
		{Fields: []diff.Field{
			field("spec.jobTemplate.spec.template.spec.initContainers[name=agent].image", "agent:1", "agent:2"),
			field("spec.template.spec.containers[0].image", "web:1", "mirror/web:1"),
		}},
	}))
	require.Empty(t, diff.Images(nil))
}
