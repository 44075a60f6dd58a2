package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGenerateTouchesOnlyReferences(t *testing.T) {
	list := readList(t, "testdata/generate/images.yaml")
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS("testdata/generate/before")))

	err := generate(&bytes.Buffer{}, dir, list, true)
	require.Error(t, err)
	golden(t, "testdata/generate/check.golden", err.Error()+"\n")

	var out bytes.Buffer
	require.NoError(t, generate(&out, dir, list, false))
	golden(t, "testdata/generate/output.golden", out.String())
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		relative, err := filepath.Rel(dir, path)
		require.NoError(t, err)
		golden(t, filepath.Join("testdata/generate/after", relative), string(content))
		return nil
	}))

	require.NoError(t, generate(&out, dir, list, true), "a second look finds nothing")
}

func TestGenerateNamesAMissingValue(t *testing.T) {
	list := readList(t, "testdata/generate/images.yaml")
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS("testdata/generate/before")))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "charts/platform/values.yaml"), []byte("vip:\n  image: {repository: a}\n"), 0o644))
	require.EqualError(t, generate(&bytes.Buffer{}, dir, list, true),
		"charts/platform/values.yaml: platform.vip.image.tag: there is no vip.image.tag")
}
