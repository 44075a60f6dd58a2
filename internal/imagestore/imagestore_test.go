package imagestore_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/stretchr/testify/require"

	"github.com/tmorin/homecloud/internal/imageset"
	"github.com/tmorin/homecloud/internal/imagestore"
	"github.com/tmorin/homecloud/internal/term"
)

// faulty is a real registry whose connection is bad.
type faulty struct {
	*httptest.Server
	host string

	mutex sync.Mutex
	sent  int64                   // bytes of blobs
	asked []string                // METHOD PATH of every request
	cut   int64                   // after so many bytes of a blob the connection ends; 0: never
	spoil bool                    // send other bytes than asked for
	whole bool                    // know nothing of ranges
	hang  bool                    // say nothing more instead of ending
	no    func(*http.Request) int // a status to refuse with; 0: don't
}

func newRegistry(t *testing.T) *faulty {
	t.Helper()
	f := &faulty{}
	real := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mutex.Lock()
		f.asked = append(f.asked, r.Method+" "+r.URL.Path)
		cut, spoil, whole, hang := f.cut, f.spoil, f.whole, f.hang
		if f.no != nil {
			if status := f.no(r); status != 0 {
				f.mutex.Unlock()
				if status == http.StatusUnauthorized {
					w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
				}
				http.Error(w, `{"errors":[{"code":"DENIED"}]}`, status)
				return
			}
		}
		f.mutex.Unlock()
		if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/blobs/") {
			real.ServeHTTP(w, r)
			return
		}
		if whole {
			r.Header.Del("Range")
		}
		real.ServeHTTP(&cable{ResponseWriter: w, f: f, left: cut, cut: cut > 0, spoil: spoil, hang: hang, ended: r.Context().Done()}, r)
	}))
	t.Cleanup(f.Close)
	f.host = strings.TrimPrefix(f.URL, "http://")
	return f
}

// refuse answers requests of a method for paths with a part with a status.
func refuse(status int, method, part string) func(*http.Request) int {
	return func(r *http.Request) int {
		if r.Method == method && strings.Contains(r.URL.Path, part) {
			return status
		}
		return 0
	}
}

// cable is torn after some bytes.
type cable struct {
	http.ResponseWriter
	f                *faulty
	left             int64
	cut, spoil, hang bool
	ended            <-chan struct{}
}

func (c *cable) Write(p []byte) (int, error) {
	if c.cut && int64(len(p)) > c.left {
		_, _ = c.write(p[:c.left])
		if flusher, ok := c.ResponseWriter.(http.Flusher); ok {
			flusher.Flush()
		}
		if c.hang {
			<-c.ended
		}
		panic(http.ErrAbortHandler)
	}
	c.left -= int64(len(p))
	return c.write(p)
}

func (c *cable) write(p []byte) (int, error) {
	if c.spoil {
		p = bytes.Repeat([]byte{0}, len(p))
	}
	c.f.mutex.Lock()
	c.f.sent += int64(len(p))
	c.f.mutex.Unlock()
	return c.ResponseWriter.Write(p)
}

func (f *faulty) set(change func()) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	change()
}

// counts are the bytes of blobs and the requests since it was asked last.
func (f *faulty) counts() (sent int64, asked []string) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	sent, asked = f.sent, f.asked
	f.sent, f.asked = 0, nil
	return sent, asked
}

// image is a random one for an architecture.
func image(t *testing.T, architecture string, size int64) v1.Image {
	t.Helper()
	made, err := random.Image(size, 2)
	require.NoError(t, err)
	config, err := made.ConfigFile()
	require.NoError(t, err)
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", architecture
	config.Config.Labels = map[string]string{"org.opencontainers.image.licenses": "MIT"}
	made, err = mutate.ConfigFile(made, config)
	require.NoError(t, err)
	return made
}

// push puts an image for some architectures, and an attestation, into the
// registry, and gives its reference.
func (f *faulty) push(t *testing.T, path string, size int64, architectures ...string) string {
	t.Helper()
	reference, err := name.ParseReference(f.host + "/" + path)
	require.NoError(t, err)
	index := v1.ImageIndex(empty.Index)
	for _, architecture := range architectures {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image(t, architecture, size),
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: architecture}}})
	}
	index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image(t, "unknown", 10),
		Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "unknown", Architecture: "unknown"}}})
	require.NoError(t, remote.WriteIndex(reference, index))
	f.counts()
	return reference.String()
}

func open(t *testing.T, options imagestore.Options) *imagestore.Store {
	t.Helper()
	if options.Cache == "" {
		options.Cache = t.TempDir()
	}
	store, err := imagestore.Open(t.Context(), options)
	require.NoError(t, err)
	store.Hurry()
	return store
}

func save(store *imagestore.Store, out string, references []string, architectures ...string) *imagestore.Save {
	return &imagestore.Save{Store: store, References: references, Architectures: architectures, Out: out, Name: "test", Compression: "zst", Steps: term.NewSteps(io.Discard)}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	return content
}

func TestOneArchiveForEachArchitecture(t *testing.T) {
	r := newRegistry(t)
	one, two := r.push(t, "a/one:1.0", 1000, "amd64", "arm64"), r.push(t, "b/two:2.0", 1000, "amd64", "arm64", "arm")
	store, out := open(t, imagestore.Options{}), t.TempDir()
	archives, err := save(store, out, []string{one, two}, "amd64", "arm64").Run(t.Context())
	require.NoError(t, err)
	require.Len(t, archives, 2)
	seen := map[string]bool{}
	for _, made := range archives {
		require.Equal(t, filepath.Join(out, "test-images-"+made.Architecture+".tar.zst"), made.Path)
		require.Equal(t, made.SHA256+"  test-images-"+made.Architecture+".tar.zst\n", string(read(t, made.Path+".sha256")))
		again, err := imagestore.ReadArchive(t.Context(), made.Path)
		require.NoError(t, err)
		require.Equal(t, made, again)
		require.Equal(t, []string{one, two}, []string{again.Images[0].Name, again.Images[1].Name})
		for _, image := range again.Images {
			require.False(t, seen[image.Digest], "each architecture has its own manifest")
			seen[image.Digest] = true
		}
	}
	names, err := os.ReadDir(out)
	require.NoError(t, err)
	require.Len(t, names, 4, "nothing else is left behind")
}

func TestSameImagesGiveTheSameBytes(t *testing.T) {
	r := newRegistry(t)
	references := []string{r.push(t, "a/one:1.0", 5000, "amd64"), r.push(t, "b/two:2.0", 5000, "amd64")}
	for _, compression := range imagestore.Compressions {
		var first []byte
		for range 2 { // another cache, another folder, another order
			s := save(open(t, imagestore.Options{}), t.TempDir(), references, "amd64")
			s.Compression = compression
			archives, err := s.Run(t.Context())
			require.NoError(t, err)
			content := read(t, archives[0].Path)
			if first != nil {
				require.True(t, bytes.Equal(first, content), compression)
			}
			first = content
			slices.Reverse(references)
		}
	}
}

// A connection that is torn in the middle of a blob: the next attempt asks for
// the rest only, in the same run and in the next one.
func TestSaveGoesOnWhereItWasCutOff(t *testing.T) {
	r := newRegistry(t)
	const size = 200_000
	reference := r.push(t, "a/one:1.0", size, "amd64")
	cache, out := t.TempDir(), t.TempDir()

	r.set(func() { r.cut = size / 10 })
	_, err := save(open(t, imagestore.Options{Cache: cache}), out, []string{reference}, "amd64").Run(t.Context())
	require.ErrorContains(t, err, reference+": sha256:")
	first, _ := r.counts()
	require.Greater(t, first, int64(size/2), "five attempts brought a tenth each")
	leftovers, err := os.ReadDir(out)
	if err == nil {
		require.Empty(t, leftovers, "no archive that isn't whole")
	}

	r.set(func() { r.cut = 0 })
	_, err = save(open(t, imagestore.Options{Cache: cache}), out, []string{reference}, "amd64").Run(t.Context())
	require.NoError(t, err)
	second, _ := r.counts()
	// Two layers, each byte once, but for what was under way when the other layer was given up.
	require.Less(t, first+second, int64(2*size+size/2))

	_, err = save(open(t, imagestore.Options{Cache: cache}), out, []string{reference}, "amd64").Run(t.Context())
	require.NoError(t, err)
	third, asked := r.counts()
	require.Zero(t, third, "what is in the cache isn't fetched")
	require.Len(t, slices.DeleteFunc(asked, func(s string) bool { return s == "GET /v2/" }), 1, "only what the tag means is asked")
}

func TestRegistryThatFallsSilentIsGivenUp(t *testing.T) {
	r := newRegistry(t)
	reference := r.push(t, "a/one:1.0", 100_000, "amd64")
	r.set(func() { r.cut, r.hang = 10_000, true })
	store := open(t, imagestore.Options{})
	store.Impatient()
	_, err := save(store, t.TempDir(), []string{reference}, "amd64").Run(t.Context())
	require.ErrorContains(t, err, r.host+" sent nothing for 100ms")
}

// Whoever logged in with docker is known, also where a blob is continued.
func TestAccountOfDockerIsUsed(t *testing.T) {
	r, home := newRegistry(t), newRegistry(t)
	reference := r.push(t, "a/one:1.0", 50_000, "amd64")
	guard := func(q *http.Request) int {
		if user, word, _ := q.BasicAuth(); user != "alice" || word != "secret" {
			return http.StatusUnauthorized
		}
		return 0
	}
	r.set(func() { r.no, r.cut = guard, 40_000 })
	home.set(func() { home.no = guard })
	folder := t.TempDir()
	t.Setenv("DOCKER_CONFIG", folder)
	cache := t.TempDir()
	_, err := save(open(t, imagestore.Options{Cache: cache}), t.TempDir(), []string{reference}, "amd64").Run(t.Context())
	require.ErrorContains(t, err, "refuses it (401)")

	config := `{"auths": {"` + r.host + `": {"auth": "YWxpY2U6c2VjcmV0"}, "` + home.host + `": {"auth": "YWxpY2U6c2VjcmV0"}}}`
	require.NoError(t, os.WriteFile(filepath.Join(folder, "config.json"), []byte(config), 0o600))
	store := open(t, imagestore.Options{Cache: cache})
	_, err = save(store, t.TempDir(), []string{reference}, "amd64").Run(t.Context())
	require.NoError(t, err)
	_, err = mirror(store, imagestore.Copy{From: reference, To: imageset.Mirrored(reference, home.host)}).Run(t.Context())
	require.NoError(t, err)
}

func TestRegistryWithoutRangesIsReadFromTheBeginning(t *testing.T) {
	r := newRegistry(t)
	reference := r.push(t, "a/one:1.0", 100_000, "amd64")
	cache, out := t.TempDir(), t.TempDir()
	r.set(func() { r.cut, r.whole = 10_000, true })
	_, err := save(open(t, imagestore.Options{Cache: cache}), out, []string{reference}, "amd64").Run(t.Context())
	require.Error(t, err)
	r.set(func() { r.cut = 0 })
	_, err = save(open(t, imagestore.Options{Cache: cache}), out, []string{reference}, "amd64").Run(t.Context())
	require.NoError(t, err)
}

func TestContentThatIsNotItsDigestIsNeverKept(t *testing.T) {
	r := newRegistry(t)
	reference := r.push(t, "a/one:1.0", 10_000, "amd64")
	cache := t.TempDir()
	r.set(func() { r.spoil = true })
	_, err := save(open(t, imagestore.Options{Cache: cache}), t.TempDir(), []string{reference}, "amd64").Run(t.Context())
	require.ErrorContains(t, err, "what arrived has the digest sha256:")
	r.set(func() { r.spoil = false })
	_, err = save(open(t, imagestore.Options{Cache: cache}), t.TempDir(), []string{reference}, "amd64").Run(t.Context())
	require.NoError(t, err, "nothing of it was left")
}

func TestCacheThatTheDiskDamagedIsNoticedAndForgotten(t *testing.T) {
	r := newRegistry(t)
	reference := r.push(t, "a/one:1.0", 10_000, "amd64")
	cache := t.TempDir()
	run := func() error {
		_, err := save(open(t, imagestore.Options{Cache: cache}), t.TempDir(), []string{reference}, "amd64").Run(t.Context())
		return err
	}
	require.NoError(t, run())
	blobs, err := os.ReadDir(filepath.Join(cache, "sha256"))
	require.NoError(t, err)
	for _, blob := range blobs {
		if info, err := blob.Info(); err == nil && info.Size() > 5000 {
			path := filepath.Join(cache, "sha256", blob.Name())
			content := read(t, path)
			content[4000] ^= 1
			require.NoError(t, os.WriteFile(path, content, 0o644))
		}
	}
	require.ErrorContains(t, run(), "run the same command again")
	require.ErrorContains(t, run(), "run the same command again", "there are two layers")
	require.NoError(t, run())
}

func TestInterruptedSaveLeavesNoArchive(t *testing.T) {
	r := newRegistry(t)
	reference := r.push(t, "a/one:1.0", 100_000, "amd64")
	cache, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	ctx, cancel := context.WithCancel(t.Context())
	r.set(func() { r.cut = 1000 })
	store := open(t, imagestore.Options{Cache: cache})
	s := save(store, out, []string{reference}, "amd64")
	s.Steps = term.NewSteps(writerFunc(func(p []byte) (int, error) {
		if strings.Contains(string(p), "look for the images") {
			cancel()
		}
		return len(p), nil
	}))
	_, err := s.Run(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.NoDirExists(t, out)
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestLockedImageIsTakenAlthoughItsTagWasMoved(t *testing.T) {
	r := newRegistry(t)
	reference := r.push(t, "a/one:1.0", 1000, "amd64", "arm64")
	locked, err := open(t, imagestore.Options{}).Lock(t.Context(), []string{reference})
	require.NoError(t, err)
	require.Equal(t, "MIT", locked[reference].Licence)
	require.Len(t, locked[reference].Manifests, 2, "attestations are no architecture")

	moved := r.push(t, "a/one:1.0", 1000, "amd64", "arm64")
	require.Equal(t, reference, moved)
	s := save(open(t, imagestore.Options{}), t.TempDir(), []string{reference}, "arm64")
	s.Lock = &imageset.Lock{Images: locked}
	archives, err := s.Run(t.Context())
	require.NoError(t, err)
	require.Equal(t, locked[reference].Manifests["arm64"], archives[0].Images[0].Digest)
}

func TestRegistryThatLostTheLockedContentIsRefused(t *testing.T) {
	r := newRegistry(t)
	reference := r.push(t, "a/one:1.0", 1000, "amd64")
	digest := "sha256:" + strings.Repeat("1", 64)
	s := save(open(t, imagestore.Options{}), t.TempDir(), []string{reference}, "amd64")
	s.Lock = &imageset.Lock{Images: map[string]imageset.Locked{reference: {Digest: digest}}}
	_, err := s.Run(t.Context())
	require.EqualError(t, err, reference+": "+r.host+" has no "+digest+" of it any more; `hcchart images lock` writes down what it is now, --from takes it from an archive")
}

// Archives may hold anything: the lock is compared with each manifest.
func TestArchiveThatIsNotWhatTheLockSaysIsRefused(t *testing.T) {
	r := newRegistry(t)
	reference := r.push(t, "a/one:1.0", 1000, "amd64", "arm64")
	locked, err := open(t, imagestore.Options{}).Lock(t.Context(), []string{reference})
	require.NoError(t, err)
	lock := &imageset.Lock{Images: locked}
	out := t.TempDir()
	_, err = save(open(t, imagestore.Options{}), out, []string{reference}, "amd64").Run(t.Context())
	require.NoError(t, err)

	from := imagestore.Options{Archives: []string{filepath.Join(out, "test-images-amd64.tar.zst")}}
	r.counts()
	s := save(open(t, from), t.TempDir(), []string{reference}, "amd64")
	s.Lock = lock
	_, err = s.Run(t.Context())
	require.NoError(t, err)
	_, asked := r.counts()
	require.Empty(t, asked, "what archives hold is asked from no registry")

	r.push(t, "a/one:1.0", 1000, "amd64", "arm64")
	_, err = save(open(t, imagestore.Options{}), out, []string{reference}, "amd64").Run(t.Context())
	require.NoError(t, err)
	s = save(open(t, from), t.TempDir(), []string{reference}, "amd64")
	s.Lock = lock
	_, err = s.Run(t.Context())
	require.ErrorContains(t, err, reference+": is sha256:")
	require.ErrorContains(t, err, " for amd64, the lock file says "+locked[reference].Manifests["amd64"])
}

func TestEveryImageThatIsNotThereIsNamed(t *testing.T) {
	r := newRegistry(t)
	there := r.push(t, "a/one:1.0", 1000, "amd64")
	r.set(func() { r.no = refuse(http.StatusUnauthorized, "GET", "/private/") })
	_, err := save(open(t, imagestore.Options{}), t.TempDir(), []string{r.host + "/a/absent:1", there, r.host + "/a/private/x:1", "localhost:1/a/b:1"}, "amd64").Run(t.Context())
	require.ErrorContains(t, err, r.host+"/a/absent:1: "+r.host+" has no such image; correct its name or its tag")
	require.ErrorContains(t, err, r.host+"/a/private/x:1: "+r.host+" refuses it (401): there is no such image, or it needs an account; `docker login "+r.host+"`")
	require.ErrorContains(t, err, "localhost:1/a/b:1: localhost:1 can't be reached: ")

	_, err = save(open(t, imagestore.Options{}), t.TempDir(), []string{there}, "amd64", "arm64").Run(t.Context())
	require.EqualError(t, err, there+": is not made for arm64, only for amd64; leave the architecture out with --arch, or run another image")
}

// buildah and docker write another form, without a registry's manifests.
func TestArchiveOfDockerIsTakenUnderAnotherName(t *testing.T) {
	made := image(t, "amd64", 3000)
	tag, err := name.NewTag("localhost/homecloud/agent:12ab")
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "agent.tar")
	require.NoError(t, tarball.WriteToFile(file, tag, made))

	for from, reference := range map[string]string{
		file: "localhost/homecloud/agent:12ab",
		"ghcr.io/tmorin/homecloud/agent:0.1.0=" + file: "ghcr.io/tmorin/homecloud/agent:0.1.0",
	} {
		out := t.TempDir()
		_, err = save(open(t, imagestore.Options{Archives: []string{from}}), out, []string{reference}, "amd64").Run(t.Context())
		require.NoError(t, err)
		// What we wrote is an archive, too.
		archive := filepath.Join(out, "test-images-amd64.tar.zst")
		again := t.TempDir()
		_, err = save(open(t, imagestore.Options{Archives: []string{archive}}), again, []string{reference}, "amd64").Run(t.Context())
		require.NoError(t, err)
		require.Equal(t, read(t, archive), read(t, filepath.Join(again, "test-images-amd64.tar.zst")))
	}
}

func TestArchiveThatIsCutShortIsRefused(t *testing.T) {
	r := newRegistry(t)
	reference := r.push(t, "a/one:1.0", 100_000, "amd64")
	for _, compression := range imagestore.Compressions {
		s := save(open(t, imagestore.Options{}), t.TempDir(), []string{reference}, "amd64")
		s.Compression = compression
		archives, err := s.Run(t.Context())
		require.NoError(t, err)
		require.NoError(t, os.Truncate(archives[0].Path, archives[0].Size/2))
		_, err = imagestore.ReadArchive(t.Context(), archives[0].Path)
		require.ErrorContains(t, err, "is cut short or no archive")
		_, err = imagestore.Open(t.Context(), imagestore.Options{Cache: t.TempDir(), Archives: []string{archives[0].Path}})
		require.ErrorContains(t, err, "is cut short or no archive")
	}
}

// An image that a chart names by digest is that digest on a board, although
// only one architecture of its index is in the archive.
func TestImageNamedByDigestKeepsIt(t *testing.T) {
	r := newRegistry(t)
	reference := r.push(t, "a/one:1.0", 1000, "amd64", "arm64")
	locked, err := open(t, imagestore.Options{}).Lock(t.Context(), []string{reference})
	require.NoError(t, err)
	pinned := r.host + "/a/one@" + locked[reference].Digest
	out := t.TempDir()
	archives, err := save(open(t, imagestore.Options{}), out, []string{pinned}, "amd64", "arm64").Run(t.Context())
	require.NoError(t, err)
	require.Equal(t, []imagestore.Named{{Name: pinned, Digest: locked[reference].Digest}}, archives[0].Images)
	require.Equal(t, archives[0].Images, archives[1].Images)

	from := imagestore.Options{Archives: []string{archives[0].Path, archives[1].Path}}
	again, err := save(open(t, from), t.TempDir(), []string{pinned}, "amd64").Run(t.Context())
	require.NoError(t, err)
	require.Equal(t, archives[0].SHA256, again[0].SHA256)
}

func TestArchiveIsALayoutWithNamesThatContainerdReads(t *testing.T) {
	r := newRegistry(t)
	reference := r.push(t, "a/one:1.0", 1000, "amd64")
	s := save(open(t, imagestore.Options{}), t.TempDir(), []string{reference}, "amd64")
	s.Compression = "none"
	archives, err := s.Run(t.Context())
	require.NoError(t, err)
	file, err := os.Open(archives[0].Path)
	require.NoError(t, err)
	defer file.Close()
	var names []string
	for files := tar.NewReader(file); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		require.Equal(t, int64(0), header.ModTime.Unix())
		require.Zero(t, header.Uid)
		names = append(names, header.Name)
		if header.Name == "index.json" {
			index, err := v1.ParseIndexManifest(files)
			require.NoError(t, err)
			require.Equal(t, map[string]string{"io.containerd.image.name": reference, "org.opencontainers.image.ref.name": "1.0"}, index.Manifests[0].Annotations)
			require.Equal(t, &v1.Platform{OS: "linux", Architecture: "amd64"}, index.Manifests[0].Platform)
		}
	}
	require.Equal(t, []string{"oci-layout", "index.json"}, names[:2])
	require.Len(t, names, 2+4, "manifest, configuration, two layers")
}
