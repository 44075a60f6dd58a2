package chart_test

import (
	"maps"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"helm.sh/helm/v3/pkg/releaseutil"

	"github.com/tmorin/homecloud/internal/chart"
)

// FuzzSplitManifest compares with Helm's own way, which takes a third of a
// rendering's time.
func FuzzSplitManifest(f *testing.F) {
	for _, text := range []string{"", "---", "a", "---\na\n---\nb", "a\n--- # c\nb", "a\n---b\n", "a ---\nb", "a\r\n---\r\nb", "a\n \t\n---\n---\n\n---", "a\n ---\nb", "---a\n\n---\n \n--- \n", "a\n----\nb"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		split := releaseutil.SplitManifests(text)
		keys := slices.Collect(maps.Keys(split))
		sort.Sort(releaseutil.BySplitManifestsOrder(keys))
		var want, got []string
		for _, key := range keys {
			want = append(want, bare(split[key]))
		}
		for _, d := range chart.SplitManifest("", text) {
			got = append(got, bare(d.Text))
		}
		want = slices.DeleteFunc(want, func(text string) bool { return text == "" })
		got = slices.DeleteFunc(got, func(text string) bool { return text == "" })
		require.Equal(t, want, got)
	})
}

// bare is a document without a separator that was left in front, where two stood
// in a row: to YAML it says nothing.
func bare(text string) string {
	for strings.HasPrefix(text, "---") {
		text = strings.TrimSpace(text[3:])
	}
	return text
}
