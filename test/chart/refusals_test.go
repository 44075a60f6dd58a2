package chart_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// refusal is a change to a scenario that a chart refuses, and what it says.
type refusal struct {
	Name   string         `json:"name"`
	Chart  string         `json:"chart"`
	Base   string         `json:"base"` // a scenario of that chart
	Values map[string]any `json:"values"`
	Says   string         `json:"says"`
}

func TestImpossibleValuesAreRefused(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "refusals.yaml"))
	require.NoError(t, err)
	var refusals []refusal
	require.NoError(t, yaml.UnmarshalStrict(text, &refusals))
	for _, r := range refusals {
		t.Run(r.Name, func(t *testing.T) {
			change := filepath.Join(t.TempDir(), "values.yaml")
			content, err := yaml.Marshal(r.Values)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(change, content, 0o644))
			base := filepath.Join(root, "charts", r.Chart, "ci", r.Base+"-values.yaml")
			_, err = render(t, r.Chart, []string{base, change})
			require.Error(t, err)
			require.Contains(t, err.Error(), r.Says)
			with(t, "helm4")
			_, err = render(t, r.Chart, []string{base, change})
			require.Error(t, err)
			require.Contains(t, err.Error(), r.Says)
		})
	}
}

// Every key of values.yaml is in the schema, and every key that the schema has beside free maps is in values.yaml: a new
// value without either would be refused, or unknown to its reader.
func TestSchemasKnowWhatValuesFilesSay(t *testing.T) {
	for _, name := range []string{"dnas", "platform", "homecloud"} {
		t.Run(name, func(t *testing.T) {
			var values, schema map[string]any
			text, err := os.ReadFile(filepath.Join(root, "charts", name, "values.yaml"))
			require.NoError(t, err)
			require.NoError(t, yaml.UnmarshalStrict(text, &values))
			text, err = os.ReadFile(filepath.Join(root, "charts", name, "values.schema.json"))
			require.NoError(t, err)
			require.NoError(t, json.Unmarshal(text, &schema))
			definitions, _ := schema["definitions"].(map[string]any)
			compare(t, name, values, schema, definitions)
		})
	}
}

func compare(t *testing.T, path string, values, schema, definitions map[string]any) {
	t.Helper()
	if reference, ok := schema["$ref"].(string); ok {
		schema, _ = definitions[strings.TrimPrefix(reference, "#/definitions/")].(map[string]any)
	}
	properties, _ := schema["properties"].(map[string]any)
	if properties == nil {
		return // a map that people fill
	}
	for key, value := range values {
		property, known := properties[key].(map[string]any)
		require.True(t, known, "%s.%s is not in the schema", path, key)
		if below, isMap := value.(map[string]any); isMap {
			compare(t, path+"."+key, below, property, definitions)
		}
	}
	for key := range properties {
		if key != "common" { // Helm's own
			require.Contains(t, values, key, "%s: the schema knows what values.yaml doesn't say", path)
		}
	}
}
