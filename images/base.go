package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"
)

// base is the lab's smallest Debian. Its apt knows this machine's mirrors,
// proxies and certificates, because it is where packages come from here; none
// of it reaches an image, which takes single files from it.
type base struct {
	suite   string
	sources []string // sources.list lines
	apt     []string // apt options, as apt.conf lines
	trust   string   // certificates to copy, "" when no mirror needs them
	hash    string
	fresh   bool // made in this run
}

func (b *base) reference() string { return localRepository + "base:" + b.hash[:12] }

const certificates = "/etc/ssl/certs/ca-certificates.crt"

// What Debian's own slim image leaves out is left out here too.
var leftOut = []string{
	"path-exclude=/usr/share/doc/*",
	"path-include=/usr/share/doc/*/copyright",
	"path-exclude=/usr/share/info/*",
	"path-exclude=/usr/share/locale/*",
	"path-exclude=/usr/share/man/*",
}

// planBase reads how this machine reaches Debian.
func planBase(ctx context.Context, suite string) (*base, error) {
	b := &base{suite: suite}
	// Neither is an error: a machine that isn't Debian still reaches it.
	if targets, err := exec.CommandContext(ctx, "apt-get", "indextargets",
		"--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages").Output(); err == nil {
		b.sources = sources(suite, string(targets))
	}
	if len(b.sources) == 0 {
		b.sources = sources(suite, fmt.Sprintf(`http://deb.debian.org/debian %[1]s main
http://deb.debian.org/debian %[1]s-updates main
http://deb.debian.org/debian-security %[1]s-security main`, suite))
	}
	if settings, err := exec.CommandContext(ctx, "apt-config", "dump").Output(); err == nil {
		b.apt = aptOptions(string(settings))
	}
	in := newInputs()
	in.add("architecture", runtime.GOARCH)
	in.add("suite", suite)
	in.add("sources", strings.Join(b.sources, "\n"))
	in.add("apt", strings.Join(b.apt, "\n"))
	in.add("left out", strings.Join(leftOut, "\n"))
	if slices.ContainsFunc(b.sources, func(line string) bool { return strings.Contains(line, "https://") }) {
		b.trust = certificates
		if err := in.addFile("trust", b.trust); err != nil {
			return nil, err
		}
	}
	b.hash = in.hash()
	return b, nil
}

// sources turns apt's own view of its sources ("URI release component" a line)
// into those of one Debian release. Others (a vendor's, a local file) are no
// part of it: a base must be what Debian ships.
func sources(suite, targets string) []string {
	var lines []string
	for line := range strings.Lines(targets) {
		fields := strings.Fields(line)
		if len(fields) != 3 || fields[2] != "main" {
			continue
		}
		uri, release := strings.TrimSuffix(fields[0], "/"), fields[1]
		if !strings.HasPrefix(uri, "http://") && !strings.HasPrefix(uri, "https://") {
			continue
		}
		if !slices.Contains([]string{suite, suite + "-updates", suite + "-security"}, release) {
			continue
		}
		lines = append(lines, fmt.Sprintf("deb %s %s main", uri, release))
	}
	slices.Sort(lines)
	lines = slices.Compact(lines)
	// Without the release itself the others are no system.
	if !slices.ContainsFunc(lines, func(line string) bool { return strings.HasSuffix(line, " "+suite+" main") }) {
		return nil
	}
	return lines
}

// Settings of how packages are fetched. Programs that a setting names
// (Proxy-Auto-Detect) or files (client certificates) aren't in the base.
var fetching = regexp.MustCompile(`^Acquire::(Check-Date|Check-Valid-Until|ForceIPv4|ForceIPv6|Retries|(http|https)(::[A-Za-z0-9.-]+)?::(Proxy(::[A-Za-z0-9.-]+)?|Timeout|Pipeline-Depth|No-Cache)) "[^"]+";$`)

func aptOptions(dump string) []string {
	var options []string
	for line := range strings.Lines(dump) {
		if line = strings.TrimSpace(line); fetching.MatchString(line) {
			options = append(options, line)
		}
	}
	return options
}

// makeBase makes the base and puts it into buildah's storage, if it isn't there.
func (b *builder) makeBase(ctx context.Context) error {
	if b.base.fresh || b.base.made(ctx, b.cache) && !b.refresh {
		return nil
	}
	began := time.Now()
	dir, err := os.MkdirTemp(b.cache.path("tmp"), "base-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	archive := filepath.Join(dir, "base.tar")
	cmd := exec.CommandContext(ctx, "mmdebstrap", append(b.base.arguments(), b.base.suite, archive, "-")...)
	cmd.Stdin = strings.NewReader(strings.Join(b.base.sources, "\n") + "\n")
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mmdebstrap: %w\n%s", err, lastLines(output, 15))
	}
	info, err := os.Stat(archive)
	if err != nil {
		return err
	}
	containerfile := filepath.Join(dir, "Containerfile")
	if err := os.WriteFile(containerfile, []byte("FROM scratch\nADD base.tar /\n"), 0o644); err != nil {
		return err
	}
	if err := b.cache.buildah(ctx, "base", append(bakeArguments(nil), "--file", containerfile, "--tag", b.base.reference(), dir)...); err != nil {
		return err
	}
	b.base.fresh = true
	b.say("base", b.base.suite+" by mmdebstrap, "+megabytes(info.Size()), began)
	return b.base.dropOthers(ctx, b.cache)
}

// dropOthers removes bases of other mirrors and recipes, and what killed builds
// left.
func (b *base) dropOthers(ctx context.Context, c *cache) error {
	images, err := c.output(ctx, "images", "--noheading", "--format", "{{.Name}}:{{.Tag}} {{.ID}}")
	if err != nil {
		return err
	}
	for line := range strings.Lines(images) {
		name, id, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name == b.reference() {
			continue
		}
		if err := c.buildah(ctx, "base", "rmi", "--force", id); err != nil {
			return err
		}
	}
	return nil
}

func (b *base) made(ctx context.Context, c *cache) bool {
	_, err := c.output(ctx, "inspect", "--type", "image", b.reference())
	return err == nil
}

func (b *base) arguments() []string {
	args := []string{"--variant=apt", "--quiet", "--dpkgopt=force-unsafe-io"}
	for _, option := range leftOut {
		args = append(args, "--dpkgopt="+option)
	}
	for _, option := range b.apt {
		args = append(args, "--aptopt="+option)
	}
	if b.trust != "" {
		args = append(args, `--customize-hook=mkdir -p "$1`+filepath.Dir(b.trust)+`"`,
			"--customize-hook=upload "+b.trust+" "+b.trust)
	}
	return args
}

func lastLines(output []byte, count int) string {
	lines := strings.Split(string(bytes.TrimSpace(output)), "\n")
	return strings.Join(lines[max(0, len(lines)-count):], "\n")
}
