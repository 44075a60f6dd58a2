package chart

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPackageInstallsAlone(t *testing.T) {
	archive, err := library(t, "top").Package("stranger")
	require.NoError(t, err)
	require.Equal(t, "top-0.3.0.tgz", archive.Name)

	file := filepath.Join(t.TempDir(), archive.Name)
	require.NoError(t, os.WriteFile(file, archive.Content, 0o644))
	packed, err := Load(file)
	require.NoError(t, err)
	require.Empty(t, packed.Missing)

	options := RenderOptions{Release: "home", Namespace: "cloud"}
	want, err := library(t, "top").Render(options)
	require.NoError(t, err)
	got, err := packed.Render(options)
	require.NoError(t, err)
	require.Equal(t, string(want.YAML()), string(got.YAML()))
}

func TestPackagingTwiceGivesTheSameBytes(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS("testdata/library")))
	first, err := library(t, "top").Package("stranger")
	require.NoError(t, err)
	// Neither the time of a file nor the folder it lies in may show.
	require.NoError(t, os.Chtimes(filepath.Join(dir, "leaf", "values.yaml"), time.Unix(1, 0), time.Unix(1, 0)))
	moved, err := Load(filepath.Join(dir, "top"))
	require.NoError(t, err)
	second, err := moved.Package("stranger")
	require.NoError(t, err)
	require.Equal(t, first.Content, second.Content)
}

func TestPackageHoldsWhatItShould(t *testing.T) {
	archive, err := library(t, "top").Package("stranger")
	require.NoError(t, err)
	names, files := unpack(t, archive.Content)
	require.Equal(t, "top/Chart.yaml", names[0])
	require.Contains(t, names, "top/charts/middle/charts/common/Chart.yaml")
	require.NotContains(t, names, "top/charts/leaf/ci/values.yaml")
	golden(t, "package-top-Chart.yaml", files["top/Chart.yaml"])
	golden(t, "package-top-Chart.lock", files["top/Chart.lock"])
	golden(t, "package-middle-Chart.yaml", files["top/charts/middle/Chart.yaml"])
	golden(t, "package-middle-schema.json", files["top/charts/middle/values.schema.json"])
}

func TestLeftOutDependencyCannotBeEnabled(t *testing.T) {
	archive, err := library(t, "top").Package("stranger")
	require.NoError(t, err)
	packed, err := loadArchive(archive.Content)
	require.NoError(t, err)
	_, err = packed.Render(RenderOptions{Release: "home", Namespace: "cloud", Values: map[string]any{
		"middle": map[string]any{"stranger": map[string]any{"enabled": true}},
	}})
	require.EqualError(t, err, "values: middle.stranger.enabled: value must be false")
}

func TestPackageRefusesWhatIsMissingOrUnknown(t *testing.T) {
	_, err := library(t, "top").Package()
	require.EqualError(t, err, "chart middle: dependency stranger 1.2.3 isn't downloaded; run `helm dependency build` in middle's folder, or leave it out with --without stranger")
	_, err = library(t, "top").Package("longhorn")
	require.EqualError(t, err, `chart top has no dependency "longhorn" to leave out`)
	_, err = library(t, "middle").Package("stranger", "common")
	require.EqualError(t, err, "chart middle: dependency common has no condition, so that it can't be left out")
}

func unpack(t *testing.T, content []byte) (names []string, files map[string][]byte) {
	t.Helper()
	files = map[string][]byte{}
	zipped, err := gzip.NewReader(bytes.NewReader(content))
	require.NoError(t, err)
	for archive := tar.NewReader(zipped); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return names, files
		}
		require.NoError(t, err)
		names = append(names, header.Name)
		files[header.Name], err = io.ReadAll(archive)
		require.NoError(t, err)
	}
}

func TestUnpackedIsWhatTheArchiveHolds(t *testing.T) {
	archive, err := library(t, "top").Package("stranger")
	require.NoError(t, err)
	_, packed := unpack(t, archive.Content)
	unpacked, err := library(t, "top").Unpacked("stranger")
	require.NoError(t, err)
	require.Len(t, unpacked, len(packed))
	for name, content := range unpacked {
		require.Equal(t, string(packed["top/"+name]), string(content), name)
	}
}
