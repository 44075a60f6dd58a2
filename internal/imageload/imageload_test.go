package imageload_test

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	ggcr "github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/stretchr/testify/require"

	"github.com/tmorin/homecloud/internal/imageload"
	"github.com/tmorin/homecloud/internal/imagestore"
	"github.com/tmorin/homecloud/internal/remote"
	"github.com/tmorin/homecloud/internal/remote/remotetest"
	"github.com/tmorin/homecloud/internal/term"
)

const references = "docker.io/acme/one:1.0 ghcr.io/acme/two:2.0"

// archive has two images for an architecture.
func archive(t *testing.T, architecture, compression string, size int64) *imagestore.Archive {
	t.Helper()
	folder := t.TempDir()
	var from []string
	for _, reference := range strings.Fields(references) {
		tag, err := name.NewTag(reference)
		require.NoError(t, err)
		file := filepath.Join(folder, fmt.Sprint(len(from)))
		require.NoError(t, tarball.WriteToFile(file, tag, image(t, architecture, size)))
		from = append(from, file)
	}
	store, err := imagestore.Open(t.Context(), imagestore.Options{Cache: t.TempDir(), Archives: from})
	require.NoError(t, err)
	save := imagestore.Save{Store: store, References: strings.Fields(references), Architectures: []string{architecture}, Out: folder, Name: "test", Compression: compression, Steps: term.NewSteps(io.Discard)}
	archives, err := save.Run(t.Context())
	require.NoError(t, err)
	return archives[0]
}

// image is a random one.
func image(t *testing.T, architecture string, size int64) v1.Image {
	t.Helper()
	made, err := random.Image(size, 1)
	require.NoError(t, err)
	config, err := made.ConfigFile()
	require.NoError(t, err)
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", architecture
	made, err = mutate.ConfigFile(made, config)
	require.NoError(t, err)
	return made
}

// board is one with k3s, and the way to load it.
func board(t *testing.T, archives ...*imagestore.Archive) (*remotetest.Board, *imageload.Load) {
	t.Helper()
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("SSH_AUTH_SOCK", "")
	b := remotetest.Serve(t, home)
	b.K3s(t)
	b.Program(t, "uname", "echo x86_64")
	return b, connect(t, b, archives...)
}

func connect(t *testing.T, b *remotetest.Board, archives ...*imagestore.Archive) *imageload.Load {
	t.Helper()
	host, err := remote.Dial(t.Context(), remote.Target{Name: "node-1", Address: "127.0.0.1", Port: b.Port, User: "root"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = host.Close() })
	return &imageload.Load{Name: "node-1", Host: host, Archives: archives, Steps: term.NewSteps(io.Discard)}
}

// files are those of a folder on the board.
func files(t *testing.T, b *remotetest.Board, folder string) (names []string) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(b.Root, folder, "*"))
	require.NoError(t, err)
	for _, file := range found {
		names = append(names, filepath.Base(file))
	}
	return names
}

const (
	staging   = "/var/lib/homecloud/images"
	k3sImages = "/var/lib/rancher/k3s/agent/images"
)

func TestImagesThatABoardLacksAreLoadedOnce(t *testing.T) {
	for _, compression := range imagestore.Compressions {
		t.Run(compression, func(t *testing.T) {
			a := archive(t, "amd64", compression, 10_000)
			b, load := board(t, archive(t, "arm64", compression, 1), a)
			load.DryRun = true
			loaded, err := load.Run(t.Context())
			require.NoError(t, err)
			require.Equal(t, 2, loaded)
			require.Zero(t, b.Received())

			load.DryRun = false
			loaded, err = load.Run(t.Context())
			require.NoError(t, err)
			require.Equal(t, 2, loaded)
			require.Equal(t, a.Size, b.Received(), "the archive as it is, once")
			require.Empty(t, files(t, b, staging), "the copy is taken away")

			loaded, err = load.Run(t.Context())
			require.NoError(t, err)
			require.Zero(t, loaded)
			require.Zero(t, b.Received())
		})
	}
}

func TestCopyGoesOnWhereTheConnectionBroke(t *testing.T) {
	a := archive(t, "amd64", "zst", 500_000)
	b, load := board(t, a)
	b.CutAfter(400_000)
	_, err := load.Run(t.Context())
	require.ErrorContains(t, err, "run the same command again, it goes on where it stopped")
	require.Empty(t, files(t, b, k3sImages))
	b.CutAfter(0)
	first := b.Received()

	require.Eventually(t, func() bool { // the shell of the broken connection ends by itself
		left := files(t, b, staging)
		return len(left) == 1 && left[0] == a.SHA256+".partial"
	}, 5*time.Second, 10*time.Millisecond)
	_, err = connect(t, b, a).Run(t.Context())
	require.NoError(t, err)
	second := b.Received()
	require.Less(t, second, a.Size-200_000, "first %d, second %d", first, second)
	require.Empty(t, files(t, b, staging))
}

func TestCopyOfAnotherArchiveIsNotContinued(t *testing.T) {
	a := archive(t, "amd64", "zst", 10_000)
	b, load := board(t, a)
	require.NoError(t, os.MkdirAll(filepath.Join(b.Root, staging), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(b.Root, staging, strings.Repeat("0", 64)+".partial"), []byte("of old"), 0o644))
	_, err := load.Run(t.Context())
	require.NoError(t, err)
	require.Empty(t, files(t, b, staging))
}

func TestDamagedCopyIsNeverImported(t *testing.T) {
	a := archive(t, "amd64", "zst", 10_000)
	b, load := board(t, a)
	require.NoError(t, os.MkdirAll(filepath.Join(b.Root, staging), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(b.Root, staging, a.SHA256+".partial"), []byte("other bytes"), 0o644))
	_, err := load.Run(t.Context())
	require.EqualError(t, err, "node-1: what arrived isn't what was sent; the copy is removed, run the same command again")
	require.Empty(t, files(t, b, staging))
	_, err = load.Run(t.Context())
	require.NoError(t, err)
}

func TestArchiveStaysWhereK3sFindsIt(t *testing.T) {
	a := archive(t, "amd64", "zst", 10_000)
	b, load := board(t, a)
	old := filepath.Join(b.Root, k3sImages, "test-images-amd64.tar")
	require.NoError(t, os.MkdirAll(filepath.Dir(old), 0o755))
	require.NoError(t, os.WriteFile(old, []byte("of the release before"), 0o644))
	_, err := load.Run(t.Context()) // the images alone are there now
	require.NoError(t, err)

	load.Persist = true
	_, err = load.Run(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"test-images-amd64.tar.zst"}, files(t, b, k3sImages))
	b.Received()
	_, err = load.Run(t.Context())
	require.NoError(t, err)
	require.Zero(t, b.Received())
}

// A board without zstd gets the archive without compression, as resumably.
func TestBoardWithoutZstdGetsThePlainArchive(t *testing.T) {
	a := archive(t, "amd64", "zst", 10_000)
	b, load := board(t, a)
	b.Program(t, "zstd", "exit 127")
	load.Persist = true
	_, err := load.Run(t.Context())
	require.NoError(t, err)
	plain, err := a.Plain(t.Context())
	require.NoError(t, err)
	require.Equal(t, plain.Size, b.Received())
	require.Equal(t, []string{"test-images-amd64.tar"}, files(t, b, k3sImages))
}

func TestBoardThatCannotTakeImagesSaysWhy(t *testing.T) {
	a := archive(t, "arm64", "zst", 1000)
	b, load := board(t, a)
	_, err := load.Run(t.Context())
	require.EqualError(t, err, "node-1: is amd64, the archives are for arm64; `hcchart images save --arch amd64` makes one")

	b.Program(t, "uname", "echo aarch64")
	b.Program(t, "df", "echo header; echo x x x 1 x x")
	_, err = load.Run(t.Context())
	require.ErrorContains(t, err, "node-1: only 0.0 MB are free in /var/lib/homecloud/images, ")

	require.NoError(t, os.Remove(filepath.Join(b.Root, "bin", "df")))
	b.Program(t, "k3s", `case "$*" in *" ls") ;; *) cat >/dev/null ;; esac`)
	_, err = load.Run(t.Context())
	require.ErrorContains(t, err, "node-1: containerd imported test-images-arm64.tar.zst without docker.io/acme/one:1.0; its log says why")

	b.Program(t, "k3s", `echo 'ctr: failed to dial "/run/k3s/containerd/containerd.sock"' >&2; exit 1`)
	_, err = load.Run(t.Context())
	require.EqualError(t, err, `node-1: ctr: failed to dial "/run/k3s/containerd/containerd.sock"`)
}

// TestRealContainerd loads images into a containerd of its own.
func TestRealContainerd(t *testing.T) {
	socket := containerd(t)
	for _, compression := range imagestore.Compressions {
		t.Run(compression, func(t *testing.T) {
			a := archive(t, runtime.GOARCH, compression, 100_000)
			b, load := board(t, a)
			b.Program(t, "k3s", fmt.Sprintf(`[ "$1" = ctr ] && shift && exec ctr --address %s "$@"`, socket))
			require.NoError(t, os.Remove(filepath.Join(b.Root, "bin", "uname")))
			loaded, err := load.Run(t.Context())
			require.NoError(t, err)
			require.Equal(t, 2, loaded)
			check(t, socket, a)
			loaded, err = load.Run(t.Context())
			require.NoError(t, err)
			require.Zero(t, loaded)
		})
	}
	t.Run("on this machine", func(t *testing.T) {
		a := archive(t, runtime.GOARCH, "zst", 100_000)
		load := imageload.Load{Name: "this machine", Host: remote.Here{}, Local: true, Containerd: socket, Archives: []*imagestore.Archive{a}, Steps: term.NewSteps(io.Discard)}
		loaded, err := load.Run(t.Context())
		require.NoError(t, err)
		require.Equal(t, 2, loaded)
		check(t, socket, a)
	})
}

// What images/build makes runs after it went through an archive.
func TestRealContainerdRunsWhatWasLoaded(t *testing.T) {
	socket := containerd(t)
	found, err := filepath.Glob("../../dist/images/agent-*.tar")
	require.NoError(t, err)
	if len(found) != 1 {
		t.Skip("needs our own images: run `make images` as root")
	}
	const reference = "ghcr.io/tmorin/homecloud/agent:0.1.0"
	store, err := imagestore.Open(t.Context(), imagestore.Options{Cache: t.TempDir(), Archives: []string{reference + "=" + found[0]}})
	require.NoError(t, err)
	save := imagestore.Save{Store: store, References: []string{reference}, Architectures: []string{runtime.GOARCH}, Out: t.TempDir(), Name: "test", Compression: "zst", Steps: term.NewSteps(io.Discard)}
	archives, err := save.Run(t.Context())
	require.NoError(t, err)
	load := imageload.Load{Name: "this machine", Host: remote.Here{}, Local: true, Containerd: socket, Archives: archives, Steps: term.NewSteps(io.Discard)}
	_, err = load.Run(t.Context())
	require.NoError(t, err)
	out, err := exec.Command("ctr", "--address", socket, "--namespace", "k8s.io", "run", "--rm", reference, "test", "/homecloud-agent", "version").CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "homecloud-agent ")
}

// An image that a chart names by its digest: the board holds one architecture of
// its index, under the index's digest.
func TestRealContainerdTakesAnImageNamedByDigest(t *testing.T) {
	socket := containerd(t)
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	other := "arm64"
	if runtime.GOARCH == other {
		other = "amd64"
	}
	index := v1.ImageIndex(empty.Index)
	for _, architecture := range []string{other, runtime.GOARCH} {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image(t, architecture, 1000),
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: architecture}}})
	}
	tag, err := name.NewTag(strings.TrimPrefix(server.URL, "http://") + "/acme/pinned:1")
	require.NoError(t, err)
	require.NoError(t, ggcr.WriteIndex(tag, index))
	digest, err := index.Digest()
	require.NoError(t, err)
	store, err := imagestore.Open(t.Context(), imagestore.Options{Cache: t.TempDir()})
	require.NoError(t, err)
	save := imagestore.Save{Store: store, References: []string{tag.Context().Digest(digest.String()).String()}, Architectures: []string{runtime.GOARCH},
		Out: t.TempDir(), Name: "test", Compression: "none", Steps: term.NewSteps(io.Discard)}
	archives, err := save.Run(t.Context())
	require.NoError(t, err)
	load := imageload.Load{Name: "this machine", Host: remote.Here{}, Local: true, Containerd: socket, Archives: archives, Steps: term.NewSteps(io.Discard)}
	loaded, err := load.Run(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, loaded)
	check(t, socket, archives[0])
}

// check asks containerd whether the images are whole, unpacked and called as
// they should be.
func check(t *testing.T, socket string, a *imagestore.Archive) {
	t.Helper()
	out, err := exec.Command("ctr", "--address", socket, "--namespace", "k8s.io", "images", "check").CombinedOutput()
	require.NoError(t, err, string(out))
	for _, image := range a.Images {
		require.Regexp(t, image.Name+` +\S+ +`+image.Digest+` +complete \(2/2\) .* true`, string(out))
	}
}

// containerd starts one that nobody else uses, and gives its socket.
func containerd(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("a long test: go test ./internal/imageload, as root")
	}
	for _, program := range []string{"containerd", "ctr"} {
		if _, err := exec.LookPath(program); err != nil || os.Geteuid() != 0 {
			t.Skip("needs root and Debian's containerd: run `apt-get install containerd && go test ./internal/imageload` as root")
		}
	}
	dir := t.TempDir()
	socket := filepath.Join(dir, "s")
	settings := fmt.Sprintf("version = 2\nroot = %q\nstate = %q\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = %q\n[ttrpc]\naddress = %q\n", dir+"/root", dir+"/state", socket, socket+".ttrpc")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config.toml"), []byte(settings), 0o600))
	var log bytes.Buffer
	cmd := exec.Command("containerd", "--config", filepath.Join(dir, "config.toml"))
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	require.Eventually(t, func() bool {
		return exec.Command("ctr", "--address", socket, "version").Run() == nil
	}, 20*time.Second, 50*time.Millisecond)
	return socket
}
