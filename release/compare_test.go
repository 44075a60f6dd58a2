package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
)

func TestSameBuildsAreTheSame(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	for _, folder := range []string{a, b} {
		write(t, folder, "program", "same")
		write(t, folder, "chart.tgz", gzipped(t, gzip.BestSpeed, entry("a", "1")))
	}
	files, err := compare(a, b)
	require.NoError(t, err)
	require.Equal(t, 2, files)
}

func TestFirstDifferenceIsNamed(t *testing.T) {
	later := entry("web/Chart.yaml", "same")
	later.ModTime = later.ModTime.Add(time.Hour)
	written := entry("etc/shadow", "x")
	written.Mode = 0o640
	for name, c := range map[string]struct{ first, second, want string }{
		"program":   {"abcdef", "abcxef", "program: differs at byte 3"},
		"longer":    {"abc", "abcd", "longer: differs at byte 3"},
		"a.tgz":     {gzipped(t, 9, entry("x", "12345")), gzipped(t, 9, entry("x", "12945")), "a.tgz: the entry x differs at its byte 2"},
		"b.tgz":     {gzipped(t, 9, entry("web/Chart.yaml", "same")), gzipped(t, 9, later), "b.tgz: the entry web/Chart.yaml differs in its time: 2000-01-01T00:00:00Z, then 2000-01-01T01:00:00Z"},
		"c.tgz":     {gzipped(t, 1, entry("x", "1")), gzipped(t, 9, entry("x", "1")), "although all entries are the same: it was compressed otherwise"},
		"d.tar":     {tarred(t, entry("x", "1")), tarred(t, entry("x", "1"), entry("y", "2")), "d.tar: only the second build has the entry y"},
		"e.tar":     {tarred(t, entry("x", "1")), tarred(t, entry("y", "1")), "e.tar: where the first build has the entry x, the second has y"},
		"f.tar.zst": {zstandard(t, tarred(t, entry("etc/shadow", "x"))), zstandard(t, tarred(t, written)), "f.tar.zst: the entry etc/shadow differs in its mode: 0644, then 0640"},
		"g.tgz":     {"no archive", "No archive", "g.tgz: differs at byte 0 (gzip: invalid header)"},
	} {
		a, b := t.TempDir(), t.TempDir()
		write(t, a, name, c.first)
		write(t, b, name, c.second)
		_, err := compare(a, b)
		var differs *differenceError
		require.ErrorAs(t, err, &differs)
		require.Len(t, differs.found, 1)
		require.Contains(t, differs.found[0], c.want)
	}
}

func TestFileThatOneBuildLacksIsNamed(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	write(t, a, "one", "")
	write(t, b, "two", "")
	_, err := compare(a, b)
	require.EqualError(t, err, "the two builds differ, "+a+" and "+b+":\n  one: only the first build has it\n  two: only the second build has it")
}

type file struct {
	tar.Header
	content string
}

func entry(name, content string) file {
	return file{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content)), ModTime: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)}, content}
}

func tarred(t *testing.T, files ...file) string {
	t.Helper()
	var out bytes.Buffer
	archive := tar.NewWriter(&out)
	for _, f := range files {
		require.NoError(t, archive.WriteHeader(&f.Header))
		_, err := archive.Write([]byte(f.content))
		require.NoError(t, err)
	}
	require.NoError(t, archive.Close())
	return out.String()
}

func gzipped(t *testing.T, level int, files ...file) string {
	t.Helper()
	var out bytes.Buffer
	zipped, err := gzip.NewWriterLevel(&out, level)
	require.NoError(t, err)
	_, err = zipped.Write([]byte(tarred(t, files...)))
	require.NoError(t, err)
	require.NoError(t, zipped.Close())
	return out.String()
}

func zstandard(t *testing.T, content string) string {
	t.Helper()
	encoder, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	return string(encoder.EncodeAll([]byte(content), nil))
}

func write(t *testing.T, folder, name, content string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600))
}
