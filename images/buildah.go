package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// buildah runs buildah on the cache's own storage, so that the machine's images
// and settings are neither used nor changed. What it prints goes to a log.
func (c *cache) buildah(ctx context.Context, log string, args ...string) error {
	path := c.path("log", log+".txt")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && (info.Size() > 1<<20 || args[0] == "bud") {
		if err := file.Truncate(0); err != nil {
			return err
		}
	}
	cmd, err := c.buildahCommand(ctx, args...)
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = file, file
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("buildah %s: %w; the end of %s:\n%s", args[0], err, path, tail(path, 15))
	}
	return nil
}

func (c *cache) buildahCommand(ctx context.Context, args ...string) (*exec.Cmd, error) {
	if c.driver == "" {
		// Overlay where the kernel lets us; a machine that is a container itself
		// often doesn't, there every layer is a copy.
		c.driver = "overlay"
		if err := c.storage(ctx, "info").Run(); err != nil {
			c.driver = "vfs"
			if output, err := c.storage(ctx, "info").CombinedOutput(); err != nil {
				return nil, fmt.Errorf("buildah: neither overlay nor vfs storage works below %s: %w\n%s", c.dir, err, output)
			}
		}
	}
	return c.storage(ctx, args...), nil
}

func (c *cache) storage(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "buildah", append([]string{
		"--root", c.path("storage-" + c.driver), "--runroot", c.path("run"), "--storage-driver", c.driver,
	}, args...)...)
	// The downloads that builds share lie in a folder of TMPDIR.
	cmd.Env = append(os.Environ(), "TMPDIR="+c.path("tmp"))
	return cmd
}

// mounted gives f the root folder of an image.
func (c *cache) mounted(ctx context.Context, image string, f func(root string) error) error {
	container, err := c.output(ctx, "from", "--pull-never", image)
	if err != nil {
		return err
	}
	defer func() { _, _ = c.output(context.WithoutCancel(ctx), "rm", container) }()
	root, err := c.output(ctx, "mount", container)
	if err != nil {
		return err
	}
	return f(root)
}

func (c *cache) output(ctx context.Context, args ...string) (string, error) {
	cmd, err := c.buildahCommand(ctx, args...)
	if err != nil {
		return "", err
	}
	var problem strings.Builder
	cmd.Stderr = &problem
	output, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("buildah %s: %w: %s", args[0], err, strings.TrimSpace(problem.String()))
	}
	return strings.TrimSpace(string(output)), nil
}

// packages lists the Debian packages that an image has files of, with their
// versions. An image of one program has none.
func (c *cache) packages(ctx context.Context, image string) ([]string, error) {
	var packages []string
	err := c.mounted(ctx, image, func(root string) error {
		files, err := filepath.Glob(filepath.Join(root, "var/lib/dpkg/status.d/*"))
		if err != nil {
			return err
		}
		for _, path := range files {
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			packages = append(packages, nameAndVersion(string(content)))
		}
		return nil
	})
	slices.Sort(packages)
	return packages, err
}

// nameAndVersion reads a package's record.
func nameAndVersion(status string) string {
	var name, version string
	for line := range strings.Lines(status) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch {
		case key == "Package" && name == "":
			name = value
		case key == "Version" && version == "":
			version = value
		}
	}
	return name + " " + version
}
