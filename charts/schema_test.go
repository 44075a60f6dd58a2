package charts_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tmorin/homecloud/internal/jsonschema"
)

// definition compiles what stands below #/definitions, or deeper, in a chart's schema.
func definition(t *testing.T, chart, pointer string) func(value any) bool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(chart, "values.schema.json"))
	require.NoError(t, err)
	set, err := jsonschema.Parse(text)
	require.NoError(t, err)
	schema, err := set.Compile(pointer)
	require.NoError(t, err)
	return func(value any) bool { return len(schema.Validate(value)) == 0 }
}

func TestVersionsAreKeptForADayToTenYears(t *testing.T) {
	valid := definition(t, "dnas", "/definitions/share/properties/versions")
	for days := range 11000 {
		require.Equal(t, days >= 1 && days <= 3650, valid(fmt.Sprintf("%dd", days)), days)
	}
	for _, text := range []string{"", "d", "90", "090d", "-1d", "1.5d", "99999999999999999999d", "90d ", "3y"} {
		require.False(t, valid(text), text)
	}
}
