package valuesdoc_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/tmorin/homecloud/internal/valuesdoc"
)

// FuzzReference wants text or an error for whatever a chart's author writes.
func FuzzReference(f *testing.F) {
	for _, name := range []string{"dnas", "platform", "homecloud"} {
		values, err := os.ReadFile(filepath.Join("../../charts", name, "values.yaml"))
		require.NoError(f, err)
		schema, err := os.ReadFile(filepath.Join("../../charts", name, "values.schema.json"))
		require.NoError(f, err)
		f.Add(values, schema)
	}
	f.Add([]byte("a: &a {b: 1}\nc: *a\nd: {<<: *a}\n? [x]\n: y\n"), []byte(`{"properties": {"a": {"$ref": "#"}}, "additionalProperties": {"$ref": "#"}}`))
	f.Add([]byte("a: {}\n"), []byte(`{"properties": {"a": {"properties": {"b": {"$ref": "#/properties/a"}}}}}`))
	f.Fuzz(func(t *testing.T, values, schema []byte) {
		if !utf8.Valid(values) {
			return
		}
		reference, err := valuesdoc.Reference(values, schema)
		if err == nil {
			require.Contains(t, reference, "## Values")
		}
		_, _ = valuesdoc.Gaps(values, schema)
		if text, err := valuesdoc.Schema("x", values); err == nil {
			require.True(t, json.Valid(text))
		}
	})
}
