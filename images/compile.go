package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// compile builds an image's program into out/ARCHITECTURE/NAME: static, without
// paths or version control facts of this machine, so that the same sources and
// the same Go give the same bytes.
func compile(ctx context.Context, dir string, image Image, architecture, out string) (string, error) {
	b := image.Binary
	target, err := filepath.Abs(filepath.Join(out, architecture, b.Name))
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false",
		"-tags", strings.Join(b.Tags, ","), "-ldflags", b.ldflags(image.Production.Tag), "-o", target, b.Package)
	cmd.Dir = filepath.Join(dir, b.Module)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+architecture, "GOFLAGS=-mod=readonly")
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build %s (%s): %w\n%s", b.Package, architecture, err, bytes.TrimSpace(output))
	}
	return target, nil
}

func (b *Binary) ldflags(version string) string {
	return strings.ReplaceAll(b.LDFlags, "{version}", version)
}

// binary compiles for this machine. A program of the project's own module is
// left to Go's cache; one of another module is a function of that module's
// requirements, and even asking Go whether it changed takes a second.
func (b *builder) binary(ctx context.Context, image Image, out string) (string, error) {
	began := time.Now()
	if image.Binary.Module == "." {
		return compile(ctx, b.dir, image, runtime.GOARCH, out)
	}
	in := newInputs()
	in.add("go", runtime.Version())
	in.add("package", image.Binary.Package)
	in.add("tags", strings.Join(image.Binary.Tags, ","))
	in.add("ldflags", image.Binary.ldflags(image.Production.Tag))
	for _, name := range []string{"go.mod", "go.sum"} {
		if err := in.addFile(name, filepath.Join(b.dir, image.Binary.Module, name)); err != nil {
			return "", err
		}
	}
	target := filepath.Join(out, runtime.GOARCH, image.Binary.Name)
	stamp := filepath.Join(out, runtime.GOARCH+".inputs")
	if known, err := os.ReadFile(stamp); err == nil && string(known) == in.hash() {
		if _, err := os.Stat(target); err == nil {
			return target, nil
		}
	}
	target, err := compile(ctx, b.dir, image, runtime.GOARCH, out)
	if err != nil {
		return "", err
	}
	b.say(image.Name, "compiled", began)
	return target, os.WriteFile(stamp, []byte(in.hash()), 0o644)
}
