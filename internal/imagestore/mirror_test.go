package imagestore_test

import (
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/require"

	"github.com/tmorin/homecloud/internal/imageset"
	"github.com/tmorin/homecloud/internal/imagestore"
	"github.com/tmorin/homecloud/internal/term"
)

func mirror(store *imagestore.Store, copies ...imagestore.Copy) *imagestore.Mirror {
	return &imagestore.Mirror{Store: store, Copies: copies, Steps: term.NewSteps(io.Discard)}
}

func digestAt(t *testing.T, reference string) v1.Hash {
	t.Helper()
	parsed, err := name.ParseReference(reference)
	require.NoError(t, err)
	found, err := remote.Get(parsed)
	require.NoError(t, err)
	return found.Digest
}

func TestMirrorKeepsTheDigestOfTheWholeIndex(t *testing.T) {
	r, home := newRegistry(t), newRegistry(t)
	reference := r.push(t, "a/one:1.0", 1000, "amd64", "arm64")
	to := imageset.Mirrored(reference, home.host+"/mirror")
	require.Equal(t, home.host+"/mirror/a/one:1.0", to)
	m := mirror(open(t, imagestore.Options{}), imagestore.Copy{From: reference, To: to})

	m.DryRun = true
	copied, err := m.Run(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, copied)
	_, asked := home.counts()
	require.False(t, slices.ContainsFunc(asked, func(s string) bool { return !strings.HasPrefix(s, "GET ") && !strings.HasPrefix(s, "HEAD ") }), asked)

	m.DryRun = false
	copied, err = m.Run(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, copied)
	require.Equal(t, digestAt(t, reference), digestAt(t, to))

	// With an empty cache: what is there is neither fetched nor sent.
	r.counts()
	home.counts()
	m.Store = open(t, imagestore.Options{})
	copied, err = m.Run(t.Context())
	require.NoError(t, err)
	require.Zero(t, copied)
	fetched, _ := r.counts()
	require.Zero(t, fetched)
	_, asked = home.counts()
	require.Equal(t, []string{"GET /v2/", "HEAD /v2/mirror/a/one/manifests/1.0"}, asked)
}

// Blobs that arrived before an interruption aren't sent again.
func TestMirrorGoesOnWhereItWasInterrupted(t *testing.T) {
	r, home := newRegistry(t), newRegistry(t)
	reference := r.push(t, "a/one:1.0", 1000, "amd64", "arm64")
	to := imageset.Mirrored(reference, home.host)
	m := mirror(open(t, imagestore.Options{}), imagestore.Copy{From: reference, To: to})
	home.set(func() { home.no = refuse(http.StatusInsufficientStorage, http.MethodPut, "/manifests/") })
	_, err := m.Run(t.Context())
	require.ErrorContains(t, err, to+": "+home.host+" answers ")
	require.ErrorContains(t, err, "run the same command again")
	uploads := func() int {
		_, asked := home.counts()
		return len(slices.DeleteFunc(asked, func(s string) bool { return !strings.HasPrefix(s, "POST ") }))
	}
	require.NotZero(t, uploads())

	home.set(func() { home.no = nil })
	_, err = m.Run(t.Context())
	require.NoError(t, err)
	first := uploads()
	require.Less(t, first, 3*3, "not all layers and configurations of three manifests")
	require.Equal(t, digestAt(t, reference), digestAt(t, to))
}

func TestMirrorOfSomeArchitecturesIsAnIndexOfThem(t *testing.T) {
	r, home := newRegistry(t), newRegistry(t)
	reference := r.push(t, "a/one:1.0", 1000, "amd64", "arm64", "arm")
	to := imageset.Mirrored(reference, home.host)
	m := mirror(open(t, imagestore.Options{}), imagestore.Copy{From: reference, To: to})
	m.Architectures = []string{"arm64", "amd64"}
	_, err := m.Run(t.Context())
	require.NoError(t, err)
	locked, err := open(t, imagestore.Options{}).Lock(t.Context(), []string{reference, to})
	require.NoError(t, err)
	require.Len(t, locked[to].Manifests, 2)
	require.Equal(t, locked[reference].Manifests["arm64"], locked[to].Manifests["arm64"])

	pinned := r.host + "/a/one@" + locked[reference].Digest
	m.Copies = []imagestore.Copy{{From: pinned, To: imageset.Mirrored(pinned, home.host)}}
	_, err = m.Run(t.Context())
	require.EqualError(t, err, pinned+": is named by its digest, so all of its architectures have to be copied; leave --arch out")
	m.Architectures = nil
	_, err = m.Run(t.Context())
	require.NoError(t, err)
}

// Archives for two architectures become one image again.
func TestMirrorFromArchives(t *testing.T) {
	r, home := newRegistry(t), newRegistry(t)
	reference := r.push(t, "a/one:1.0", 1000, "amd64", "arm64")
	out := t.TempDir()
	_, err := save(open(t, imagestore.Options{}), out, []string{reference}, "amd64", "arm64").Run(t.Context())
	require.NoError(t, err)
	r.Close()
	store := open(t, imagestore.Options{Archives: []string{filepath.Join(out, "test-images-arm64.tar.zst"), filepath.Join(out, "test-images-amd64.tar.zst")}})
	to := imageset.Mirrored(reference, home.host)
	_, err = mirror(store, imagestore.Copy{From: reference, To: to}).Run(t.Context())
	require.NoError(t, err)
	locked, err := open(t, imagestore.Options{}).Lock(t.Context(), []string{to})
	require.NoError(t, err)
	require.Len(t, locked[to].Manifests, 2)
}

func TestTwoImagesThatWouldBecomeOneAreRefused(t *testing.T) {
	home := newRegistry(t)
	m := mirror(open(t, imagestore.Options{}), imagestore.Copy{From: "ghcr.io/a/b:1", To: home.host + "/a/b:1"}, imagestore.Copy{From: "registry.example/a/b:1", To: home.host + "/a/b:1"})
	_, err := m.Run(t.Context())
	require.EqualError(t, err, "ghcr.io/a/b:1 and registry.example/a/b:1 would both become "+home.host+"/a/b:1; give one of them another name, or another mirror")
}

func TestRegistryThatWantsAnAccountSaysSo(t *testing.T) {
	r, home := newRegistry(t), newRegistry(t)
	reference := r.push(t, "a/one:1.0", 1000, "amd64")
	home.set(func() { home.no = refuse(http.StatusForbidden, http.MethodHead, "/a/one/") })
	_, err := mirror(open(t, imagestore.Options{}), imagestore.Copy{From: reference, To: imageset.Mirrored(reference, home.host)}).Run(t.Context())
	require.ErrorContains(t, err, home.host+" refuses it (403); log in with `docker login "+home.host+"`")
}
