package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestArchiveIsFoundByWhatItWasMadeFromWhileItIsWhole(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	c, err := openCache()
	require.NoError(t, err)
	defer c.close()
	made := keepArchive(t, c, "inputs", "tag")

	found, ok := c.record("nas", made.Inputs)
	require.True(t, ok)
	require.Equal(t, made, found)
	_, ok = c.record("nas", hashOf("others"))
	require.False(t, ok)

	require.NoError(t, os.Truncate(c.archive(made), 1))
	_, ok = c.record("nas", made.Inputs)
	require.False(t, ok, "an archive that was cut short is made anew")
}

func TestOldArchivesAreForgottenAndUsedOnesKept(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	c, err := openCache()
	require.NoError(t, err)
	defer c.close()
	var all []record
	for i := range kept + 2 {
		made := keepArchive(t, c, fmt.Sprint("inputs", i), fmt.Sprint("tag", i))
		age := time.Now().Add(time.Duration(i-100) * time.Hour)
		require.NoError(t, os.Chtimes(c.recordPath(made.Name, made.Inputs), age, age))
		all = append(all, made)
	}
	partial := c.path("archives", "nas-000000000000.tar.partial")
	require.NoError(t, os.WriteFile(partial, nil, 0o644))
	_, used := c.record("nas", all[0].Inputs)
	require.True(t, used)
	require.NoError(t, c.prune())

	var left []string
	for _, made := range all {
		if _, ok := c.record("nas", made.Inputs); ok {
			left = append(left, made.Tag)
		}
	}
	require.Equal(t, []string{all[0].Tag, all[kept].Tag, all[kept+1].Tag}, left)
	require.NoFileExists(t, partial)
}

func TestHashTellsListsOfThingsApart(t *testing.T) {
	a, b := newInputs(), newInputs()
	a.add("x", "1\ny 1\n2")
	b.add("x", "1")
	b.add("y", "2")
	require.NotEqual(t, a.hash(), b.hash())
}

func TestOverridesOfOtherImagesStayWhenOneIsMade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "values.yaml")
	images := readList(t, "testdata/generate/images.yaml").Images
	require.NoError(t, writeValues(path, images, map[string]string{"nas": "aaaaaaaaaaaa", "keepalived": "123456789012"}))
	require.NoError(t, writeValues(path, images[:1], map[string]string{"nas": "bbbbbbbbbbbb"}))
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	golden(t, "testdata/list/values.golden", string(content))
}

func keepArchive(t *testing.T, c *cache, inputs, tag string) record {
	t.Helper()
	made := record{Name: "nas", Inputs: hashOf(inputs), Tag: hashOf(tag)[:12], Size: 3}
	require.NoError(t, os.WriteFile(c.archive(made), []byte("tar"), 0o644))
	require.NoError(t, c.keep(made))
	return made
}

func hashOf(text string) string {
	in := newInputs()
	in.add("text", text)
	return in.hash()
}
