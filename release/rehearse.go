package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/tmorin/homecloud/internal/checksums"
	"github.com/tmorin/homecloud/internal/term"
)

// rehearsal builds twice.
type rehearsal struct {
	build
	allowDirty bool
}

// What the second build has otherwise than most machines.
const (
	otherUmask    = "077"
	otherTimeZone = "Asia/Kathmandu"
)

func (r *rehearsal) run(ctx context.Context) error {
	began := time.Now()
	var err error
	if r.root, err = filepath.Abs(r.root); err != nil {
		return err
	}
	out := r.out
	if err := errors.Join(r.checkRoot(), checkReplaceable(out)); err != nil {
		return err
	}
	dirty, err := uncommitted(ctx, r.root)
	if err != nil {
		return err
	}
	if len(dirty) > 0 && !r.allowDirty {
		return fmt.Errorf("a release is of a commit, and these aren't committed; commit or stash them, or try with --allow-dirty:\n  %s", strings.Join(dirty, "\n  "))
	}
	if r.version, err = git(ctx, r.root, "describe", "--tags", "--always", "--dirty"); err != nil {
		return err
	}
	commit, err := git(ctx, r.root, "rev-parse", "HEAD")
	if err != nil {
		return err
	}

	r.out = out + ".new"
	if err := os.RemoveAll(r.out); err != nil {
		return err
	}
	r.steps.Say("homecloud %s, first build", r.version)
	if err := r.build.run(ctx); err != nil {
		return err
	}
	if len(dirty) > 0 {
		r.steps.Say("not compared: %d files aren't committed, so that there is nothing to clone", len(dirty))
	} else if err := r.again(ctx, commit); err != nil {
		return err
	}
	if err := errors.Join(os.RemoveAll(out), os.Rename(r.out, out)); err != nil {
		return err
	}
	return r.summary(out, began)
}

// again makes the second build and compares. Both stay when they differ.
func (r *rehearsal) again(ctx context.Context, commit string) (err error) {
	work, err := os.MkdirTemp("", "homecloud-release-")
	if err != nil {
		return err
	}
	defer func() {
		var differs *differenceError
		if !errors.As(err, &differs) {
			_ = os.RemoveAll(work)
		}
	}()
	clone, second := filepath.Join(work, "a", "clone"), filepath.Join(work, "built")
	r.steps.Say("second build, from a clone in another folder, with umask %s, in %s", otherUmask, otherTimeZone)
	if _, err := output(otherwise(ctx, r.root, "git", "clone", "--quiet", r.root, clone), nil); err != nil {
		return err
	}
	if _, err := output(otherwise(ctx, clone, "git", "checkout", "--quiet", "--detach", commit), nil); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	args := []string{"build", "--root", clone, "--out", second, "--version", r.version}
	if len(r.without) > 0 {
		args = append(args, "--without", strings.Join(r.without, ","))
	}
	if r.withoutImages {
		args = append(args, "--without-images")
	}
	cmd := otherwise(ctx, clone, self, args...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("the second build: %w", err)
	}
	return r.steps.Run("compare", func(step *term.Step) error {
		files, err := compare(r.out, second)
		step.Done("%d files, all the same", files)
		return err
	})
}

// otherwise is a command with the other umask and time zone.
func otherwise(ctx context.Context, dir, name string, args ...string) *exec.Cmd {
	cmd := command(ctx, dir, "sh", append([]string{"-c", "umask " + otherUmask + ` && exec "$0" "$@"`, name}, args...)...)
	cmd.Env = append(cmd.Env, "TZ="+otherTimeZone)
	return cmd
}

func (r *rehearsal) summary(out string, began time.Time) error {
	entries, err := os.ReadDir(out)
	if err != nil {
		return err
	}
	var size int64
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			return err
		}
		size += info.Size()
	}
	if r.withoutImages {
		r.steps.Say("left out: the archive of our images")
	} else {
		r.steps.Say("images: for %s only; those for another architecture are made on such a machine", runtime.GOARCH)
	}
	r.steps.Say("%s: %d files, %.0f MB, in %.0f s", out, len(entries), float64(size)/1e6, time.Since(began).Seconds())
	return nil
}

// checkReplaceable refuses a folder that isn't an earlier release.
func checkReplaceable(out string) error {
	entries, err := os.ReadDir(out)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(out, checksums.Name)); err != nil {
		return fmt.Errorf("%s: holds something else than a release (no %s) and would be replaced; name another folder with --out", out, checksums.Name)
	}
	return nil
}

// uncommitted lists what git finds changed or new, as it prints it.
func uncommitted(ctx context.Context, root string) ([]string, error) {
	status, err := git(ctx, root, "status", "--porcelain")
	if err != nil || status == "" {
		return nil, err
	}
	return strings.Split(status, "\n"), nil
}
