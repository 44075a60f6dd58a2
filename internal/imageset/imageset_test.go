package imageset_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/tmorin/homecloud/charts"
	"github.com/tmorin/homecloud/internal/chart"
	"github.com/tmorin/homecloud/internal/imageset"
	"github.com/tmorin/homecloud/internal/values"
)

func TestReferencesAreCompletedAsContainerdDoes(t *testing.T) {
	const digest = "@sha256:5555555555555555555555555555555555555555555555555555555555555555"
	for written, want := range map[string]string{
		"nginx":                           "docker.io/library/nginx:latest",
		"nginx:1.29":                      "docker.io/library/nginx:1.29",
		"index.docker.io/syncthing/s:1":   "docker.io/syncthing/s:1",
		"ghcr.io/a/b:1":                   "ghcr.io/a/b:1",
		"localhost/homecloud/agent:12ab":  "localhost/homecloud/agent:12ab",
		"registry.home:5000/a:1" + digest: "registry.home:5000/a" + digest,
	} {
		got, err := imageset.Normalise(written)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err := imageset.Normalise("ghcr.io/UPPER/b:1")
	require.ErrorContains(t, err, `the image "ghcr.io/UPPER/b:1" is no reference: `)
}

// Where a mirror keeps an image and where charts look for it is one rule,
// written twice: here and in a template.
func TestMirrorIsWhereOurChartsLook(t *testing.T) {
	dnas, err := chart.Embedded(charts.FS).Load("dnas")
	require.NoError(t, err)
	given, err := os.ReadFile("../../charts/dnas/ci/nfs-only-values.yaml")
	require.NoError(t, err)
	for _, repository := range []string{"docker.io/syncthing/syncthing", "syncthing/syncthing", "nginx", "localhost/a/b", "registry.home:5000/a/b", "ghcr.io/a/b/c"} {
		for _, registry := range []string{"mirror.home:5000", "mirror.home/prefix", "mirror.home/prefix/"} {
			scenario, err := values.Read("", given)
			require.NoError(t, err)
			documents, err := dnas.Documents(chart.RenderOptions{Release: "r", Namespace: "n", Values: values.Merge(scenario, map[string]any{
				"global":    map[string]any{"imageRegistry": registry},
				"syncthing": map[string]any{"image": map[string]any{"repository": repository, "tag": "1", "digest": ""}},
			})})
			require.NoError(t, err)
			var rendered strings.Builder
			for _, d := range documents {
				rendered.WriteString(d.Text + "\n")
			}
			require.Contains(t, rendered.String(), "image: "+imageset.Mirrored(repository+":1", registry)+"\n")
		}
	}
}

func TestLockIsReadAsItIsWritten(t *testing.T) {
	lock := &imageset.Lock{Images: map[string]imageset.Locked{"docker.io/a/b:1": {
		Digest:    "sha256:" + strings.Repeat("1", 64),
		Licence:   "MIT",
		Manifests: map[string]string{"arm64": "sha256:" + strings.Repeat("2", 64)},
	}}}
	text, err := lock.Text()
	require.NoError(t, err)
	read, err := imageset.ParseLock("images.lock.yaml", text)
	require.NoError(t, err)
	require.Equal(t, lock, read)
}

func TestLockThatIsNotUnderstoodIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"apiVersion: homecloud/v1\nkind: ImageLock":                                                    "is homecloud/v1 ImageLock and not homecloud/v1alpha1 ImageLock",
		"apiVersion: homecloud/v1alpha1\nkind: ImageLock\nimage: {}":                                   `unknown field "image"`,
		"apiVersion: homecloud/v1alpha1\nkind: ImageLock\nimages: {a: {digest: '', manifests: {}}}":    `images.a: "" is no digest`,
		"apiVersion: homecloud/v1alpha1\nkind: ImageLock\nimages: {a: {digest: md5:1, manifests: {}}}": `images.a: "md5:1" is no digest`,
		"<<<<<<< HEAD": "cannot unmarshal",
	} {
		_, err := imageset.ParseLock("images.lock.yaml", []byte(text))
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, "`hcchart images lock` writes it anew")
	}
}

func TestImagesOfValuesAreFoundWhereverTheyAre(t *testing.T) {
	var given map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(`
image: {repository: ghcr.io/a/own, tag: ""}
sidecar: {enabled: false, image: {registry: quay.io, repository: a/sidecar, tag: 1.20}}
fixed: {image: {repository: a/fixed, tag: ignored, digest: "sha256:`+strings.Repeat("1", 64)+`"}}
source: {repository: https://example.org/git}
`), &given))
	var set imageset.Set
	require.NoError(t, set.AddValues(given, "web", "2.0"))
	var found []string
	for _, image := range set.Images(nil) {
		found = append(found, image.Reference)
	}
	require.Equal(t, []string{
		"docker.io/a/fixed@sha256:" + strings.Repeat("1", 64), "ghcr.io/a/own:2.0", "quay.io/a/sidecar:1.2",
	}, found)
}

// The list of our images is one file; what is built in is made of it.
func TestEveryImageOfOursIsKnown(t *testing.T) {
	content, err := os.ReadFile("../../images/images.yaml")
	require.NoError(t, err)
	var list struct {
		Images map[string]struct {
			Production    struct{ Repository, Tag string }
			Licence       string
			Architectures []string
		}
	}
	require.NoError(t, yaml.Unmarshal(content, &list))
	require.NotEmpty(t, list.Images)
	for name, image := range list.Images {
		published := image.Production.Repository + ":" + image.Production.Tag
		for _, written := range []string{published, imageset.Mirrored(published, "mirror.home:5000/p"), "localhost/homecloud/" + name + ":12ab"} {
			var set imageset.Set
			require.NoError(t, set.Add(written, imageset.Component{}))
			got := set.Images(nil)[0]
			require.Equal(t, image.Licence, got.Licence, written)
			require.ElementsMatch(t, image.Architectures, got.Architectures, written)
		}
	}
}
