package charts_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tmorin/homecloud/charts"
	"github.com/tmorin/homecloud/internal/chart"
)

// What is embedded is listed by pattern, so that a file of a new kind could be
// forgotten.
func TestEmbeddedChartsAreThoseOfTheFolder(t *testing.T) {
	names, err := chart.Directory(".").Names()
	require.NoError(t, err)
	for _, name := range names {
		folder, err := chart.Directory(".").Load(name)
		require.NoError(t, err)
		embedded, err := chart.Embedded(charts.FS).Load(name)
		require.NoError(t, err)
		var without []string
		for _, missing := range embedded.Missing {
			without = append(without, missing.Name)
		}
		want, err := folder.Package(without...)
		require.NoError(t, err)
		got, err := embedded.Package(without...)
		require.NoError(t, err)
		require.Equal(t, want, got, "chart %s: add what is missing to the patterns in embed.go", name)
	}
}
