package main

import (
	"io"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/stretchr/testify/require"

	"github.com/tmorin/homecloud/internal/imagestore"
)

func TestArchiveHoldsOurOwnImagesUnderTheirPublishedNames(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	list := &List{Images: []Image{
		{Name: "agent", Lab: "own", Production: Reference{"ghcr.io/a/agent", "0.1.0"}},
		{Name: "nas", Lab: "own", Production: Reference{"ghcr.io/a/nas", "0.1.0"}},
		{Name: "syncthing", Lab: "stand-in", Production: Reference{"docker.io/syncthing/syncthing", "1.30.0"}},
	}}
	from, out := t.TempDir(), t.TempDir()
	build := func(image, tag string) {
		made, err := random.Image(100, 1)
		require.NoError(t, err)
		config, err := made.ConfigFile()
		require.NoError(t, err)
		config = config.DeepCopy()
		config.OS, config.Architecture = "linux", runtime.GOARCH
		made, err = mutate.ConfigFile(made, config)
		require.NoError(t, err)
		reference, err := name.NewTag(localRepository + image + ":" + tag)
		require.NoError(t, err)
		require.NoError(t, tarball.WriteToFile(filepath.Join(from, image+"-"+tag+".tar"), reference, made))
	}
	build("agent", "0123456789ab")
	build("syncthing", "0123456789ab")
	_, err := archive(t.Context(), list, from, out, io.Discard)
	require.EqualError(t, err, from+": there are 0 archives of nas instead of one; run: go run ./images build")

	build("nas", "0123456789ab")
	made, err := archive(t.Context(), list, from, out, io.Discard)
	require.NoError(t, err)
	require.Equal(t, filepath.Join(out, "homecloud-own-images-"+runtime.GOARCH+".tar.zst"), made.Path)
	read, err := imagestore.ReadArchive(t.Context(), made.Path)
	require.NoError(t, err)
	require.Len(t, read.Images, 2)
	require.Equal(t, "ghcr.io/a/agent:0.1.0", read.Images[0].Name)
	require.Equal(t, "ghcr.io/a/nas:0.1.0", read.Images[1].Name)
}
