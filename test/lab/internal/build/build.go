// Package build compiles what the nodes and the control plane run, once per content of its
// sources, and keeps it outside of the clone.
package build

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
)

// Kubernetes is the version that go.mod names; the programs must be told, or they say v0.0.0.
const Kubernetes = "1.34.2"

// Files the build makes.
const (
	Program = "kubernetes"
	Pause   = "pause.tar"
	// Image is what the pause archive holds.
	Image = "lab.local/pause:1"
)

// A Cache builds sources into a folder.
type Cache struct {
	// Sources are go.mod, go.sum and the packages, as they were when this program was
	// built: the program needs no clone beside it.
	Sources fs.FS
	// Dir is the folder of builds.
	Dir string
}

// DefaultDir is where builds are kept.
func DefaultDir() (string, error) {
	dir, err := os.UserCacheDir()
	return filepath.Join(dir, "homecloud", "lab"), err
}

// Find is the folder of the build of these sources and whether it is there.
func (c Cache) Find() (string, bool, error) {
	sum := sha256.New()
	err := fs.WalkDir(c.Sources, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(c.Sources, path)
		_, _ = fmt.Fprintf(sum, "%s %d\n%s", path, len(b), b)
		return err
	})
	if err != nil {
		return "", false, err
	}
	version, err := exec.Command("go", "env", "GOVERSION", "GOARCH").Output()
	if err != nil {
		// Without a compiler a build that is there is still good.
		version = nil
		if found, _ := filepath.Glob(filepath.Join(c.Dir, hex.EncodeToString(sum.Sum(nil))[:16]+"-*")); len(found) == 1 {
			return found[0], true, nil
		}
	}
	name := hex.EncodeToString(sum.Sum(nil))[:16] + "-" + strings.Join(strings.Fields(string(version)), "-")
	dir := filepath.Join(c.Dir, name)
	_, err = os.Stat(filepath.Join(dir, Program))
	return dir, err == nil, nil
}

// Build compiles into the folder that Find named. Output gets what the compiler says.
func (c Cache) Build(ctx context.Context, dir string, output io.Writer) error {
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(c.Dir, "building-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	src, out := filepath.Join(work, "src"), filepath.Join(work, "out")
	if err := os.CopyFS(src, c.Sources); err != nil {
		return err
	}
	if err := os.Mkdir(out, 0o755); err != nil {
		return err
	}
	flags := "-s -w"
	parts := strings.Split(Kubernetes, ".")
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		flags += fmt.Sprintf(" -X %[1]s.gitVersion=v%[2]s -X %[1]s.gitMajor=%[3]s -X %[1]s.gitMinor=%[4]s", pkg, Kubernetes, parts[0], parts[1])
	}
	runtime.LockOSThread() // Pdeathsig fires when the starting thread ends, not the process
	defer runtime.UnlockOSThread()
	// grpcnotrace keeps the linker's dead code elimination, which halves the program.
	for _, args := range [][]string{
		{"-tags=cluster,grpcnotrace", "-ldflags=" + flags, "-o=" + filepath.Join(out, Program), "./kubernetes"},
		{"-ldflags=-s -w", "-o=" + filepath.Join(work, "pause"), "./pause"},
	} {
		cmd := exec.CommandContext(ctx, "go", append([]string{"build", "-trimpath", "-buildvcs=false"}, args...)...)
		cmd.Dir, cmd.Stdout, cmd.Stderr = src, output, output
		// Compilers that were begun end by themselves, but no new ones after a crash.
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("go build %s: %w", args[len(args)-1], err)
		}
	}
	if err := WriteImage(filepath.Join(out, Pause), Image, filepath.Join(work, "pause")); err != nil {
		return err
	}
	if err := os.Rename(out, dir); err != nil && !os.IsExist(err) {
		return err
	}
	return nil
}

// WriteImage wraps one static program into an archive as `docker save` writes it.
func WriteImage(path, name, program string) error {
	content, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	base := filepath.Base(program)
	var layer strings.Builder
	if err := pack(&layer, map[string][]byte{base: content}); err != nil {
		return err
	}
	digest := sha256.Sum256([]byte(layer.String()))
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": map[string]any{"Entrypoint": []string{"/" + base}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + hex.EncodeToString(digest[:])}},
	})
	if err != nil {
		return err
	}
	manifest, err := json.Marshal([]map[string]any{{
		"Config": "config.json", "RepoTags": []string{name}, "Layers": []string{"layer.tar"},
	}})
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if err := pack(f, map[string][]byte{"manifest.json": manifest, "config.json": config, "layer.tar": []byte(layer.String())}); err != nil {
		return err
	}
	return f.Close()
}

func pack(w io.Writer, files map[string][]byte) error {
	t := tar.NewWriter(w)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(files[name]))}); err != nil {
			return err
		}
		if _, err := t.Write(files[name]); err != nil {
			return err
		}
	}
	return t.Close()
}
