package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"github.com/tmorin/homecloud/internal/checksums"
	"github.com/tmorin/homecloud/internal/sbom"
	"github.com/tmorin/homecloud/internal/term"
)

// build makes everything once.
type build struct {
	root, out, version string
	without            []string // dependencies of charts
	withoutImages      bool

	steps *term.Steps
}

// program is one for one system.
type program struct{ name, system, architecture string }

// programs are where each makes sense: homecloud-agent runs in containers.
var programs = []program{
	{"hcchart", "linux", "amd64"},
	{"hcchart", "linux", "arm64"},
	{"hcchart", "darwin", "amd64"},
	{"hcchart", "darwin", "arm64"},
	{"hcchart", "windows", "amd64"},
	{"homecloud-agent", "linux", "amd64"},
	{"homecloud-agent", "linux", "arm64"},
}

func (p program) file() string {
	file := p.name + "-" + p.system + "-" + p.architecture
	if p.system == "windows" {
		file += ".exe"
	}
	return file
}

const (
	inside    = ".cdx.json"
	notesFile = "NOTES.md"
)

func (b *build) run(ctx context.Context) (err error) {
	if b.root, err = filepath.Abs(b.root); err != nil {
		return err
	}
	if b.out, err = filepath.Abs(b.out); err != nil {
		return err
	}
	if err := b.checkRoot(); err != nil {
		return err
	}
	// First what is read, then what takes long and may fail, before the rest.
	notes, err := b.notes()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(b.out, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(b.out, notesFile), []byte(notes), 0o644); err != nil {
		return err
	}
	if !b.withoutImages {
		if err := b.images(ctx); err != nil {
			return err
		}
	}
	for _, p := range programs {
		if err := b.compile(ctx, p); err != nil {
			return err
		}
	}
	if err := b.charts(ctx); err != nil {
		return err
	}
	return b.sums()
}

func (b *build) checkRoot() error {
	if !b.withoutImages && (runtime.GOOS != "linux" || os.Geteuid() != 0) {
		return errors.New("the archive of our images is made by root on Linux; run this as root, or leave it out with --without-images")
	}
	return nil
}

// compile builds one program and says what is inside. The same bytes come out
// in any folder, of any user's settings for Go.
func (b *build) compile(ctx context.Context, p program) error {
	return b.steps.Run(p.name+" "+p.system+"/"+p.architecture, func(step *term.Step) error {
		path := filepath.Join(b.out, p.file())
		cmd := command(ctx, b.root, "go", "build", "-trimpath", "-buildvcs=false",
			"-ldflags", "-s -w -X github.com/tmorin/homecloud/internal/version.number="+b.version, "-o", path, "./cmd/"+p.name)
		cmd.Env = append(cmd.Env, "CGO_ENABLED=0", "GOOS="+p.system, "GOARCH="+p.architecture, "GOAMD64=v1", "GOARM64=v8.0",
			"GOFLAGS=-mod=readonly", "GOWORK=off", "GOTOOLCHAIN=local", "GOEXPERIMENT=")
		if _, err := output(cmd, nil); err != nil {
			return err
		}
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		step.Done("%s", megabytes(info.Size()))
		bill, err := sbom.OfProgram(path, b.version)
		if err != nil {
			return err
		}
		return os.WriteFile(path+inside, bill, 0o644)
	})
}

var released = regexp.MustCompile(`^v([0-9]+\.[0-9]+\.[0-9]+)$`)

// charts packages by the hcchart that was built for this machine.
func (b *build) charts(ctx context.Context) error {
	own := program{"hcchart", runtime.GOOS, runtime.GOARCH}
	if !slices.Contains(programs, own) {
		return fmt.Errorf("charts are packaged by hcchart itself, which a release doesn't have for %s/%s; use another machine", own.system, own.architecture)
	}
	return b.steps.Run("charts", func(step *term.Step) error {
		args := []string{"package", "--out", b.out, "--sbom"}
		if len(b.without) > 0 {
			args = append(args, "--without", strings.Join(b.without, ","))
		}
		if _, err := output(command(ctx, b.root, filepath.Join(b.out, own.file()), args...), nil); err != nil {
			return err
		}
		archives, err := filepath.Glob(filepath.Join(b.out, "*.tgz"))
		if err != nil {
			return err
		}
		var names []string
		for _, archive := range archives {
			name := filepath.Base(archive)
			if v := released.FindStringSubmatch(b.version); v != nil && !strings.HasSuffix(name, "-"+v[1]+".tgz") {
				return fmt.Errorf("the commit is tagged %s, and the chart is %s; charts and programs share one version: change charts/*/Chart.yaml", b.version, name)
			}
			names = append(names, name)
		}
		step.Done("%s", strings.Join(names, ", "))
		return nil
	})
}

// sums lists everything. Rights are the same whatever the umask was.
func (b *build) sums() error {
	entries, err := os.ReadDir(b.out)
	if err != nil {
		return err
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	list, err := checksums.Of(b.out, names)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(b.out, checksums.Name), list, 0o644); err != nil {
		return err
	}
	executable := map[string]bool{}
	for _, p := range programs {
		executable[p.file()] = true
	}
	for _, name := range append(names, checksums.Name) {
		mode := os.FileMode(0o644)
		if executable[name] {
			mode = 0o755
		}
		if err := os.Chmod(filepath.Join(b.out, name), mode); err != nil {
			return err
		}
	}
	return os.Chmod(b.out, 0o755)
}

func megabytes(bytes int64) string { return fmt.Sprintf("%.1f MB", float64(bytes)/1e6) }
