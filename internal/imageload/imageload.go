// Package imageload brings archives of images onto boards, without a registry:
// what a board has already stays, a copy that was cut off goes on, and the
// images are there when it says so. It knows boards as something that runs
// scripts as root.
package imageload

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/imagestore"
	"github.com/tmorin/homecloud/internal/remote"
	"github.com/tmorin/homecloud/internal/term"
)

// Host runs scripts of the POSIX shell as root.
type Host interface {
	Run(ctx context.Context, script string, in io.Reader, out io.Writer) error
}

// The folders on a board: where an archive arrives, on the system disk, and
// where k3s looks for archives whenever it starts.
const (
	staging   = config.StateRoot + "/images"
	k3sImages = "/var/lib/rancher/k3s/agent/images"
)

// Load brings archives onto one board.
type Load struct {
	Name     string // of the board
	Host     Host
	Archives []*imagestore.Archive // for any architecture; the board's are taken
	// Containerd is the socket of containerd; empty: that of k3s, or containerd's
	// usual one.
	Containerd string
	// Persist leaves the archives where k3s imports them again whenever it starts:
	// then Kubernetes may remove the images when the disk is full, and they return.
	Persist bool
	// Local is a board that is this machine: nothing has to be copied.
	Local  bool
	DryRun bool // only tell what would be done
	Steps  *term.Steps

	facts facts
}

// facts are what a board says of itself.
type facts struct {
	architecture string
	ctr          string // the command that speaks to containerd
	k3s, zstd    bool
	images       map[string]string // digest by name
}

// Run loads what the board lacks, and says how many images that was.
func (l *Load) Run(ctx context.Context) (loaded int, err error) {
	var wanted []*imagestore.Archive
	if err := l.Steps.Run(l.Name+": look what is there", func(step *term.Step) error {
		if err := l.ask(ctx); err != nil {
			return err
		}
		var others []string
		all, missing := 0, 0
		for _, archive := range l.Archives {
			if archive.Architecture != l.facts.architecture {
				others = append(others, archive.Architecture)
				continue
			}
			wanted = append(wanted, archive)
			all += len(archive.Images)
			missing += len(l.missing(archive))
		}
		if wanted == nil {
			return fmt.Errorf("%s: is %s, the archives are for %s; `hcchart images save --arch %[2]s` makes one", l.Name, l.facts.architecture, cmp.Or(strings.Join(slices.Compact(slices.Sorted(slices.Values(others))), ", "), "none"))
		}
		if l.Persist && !l.facts.k3s {
			return fmt.Errorf("%s: has no k3s, which is what --persist is for; leave it out", l.Name)
		}
		step.Done("%s, %d of %d images are missing", l.facts.architecture, missing, all)
		return nil
	}); err != nil {
		return 0, err
	}
	for _, archive := range wanted {
		missing := l.missing(archive)
		kept, err := l.isKept(ctx, archive)
		if err != nil {
			return loaded, err
		}
		if len(missing) == 0 && kept {
			continue
		}
		loaded += len(missing)
		if l.DryRun {
			for _, image := range missing {
				l.Steps.Say("  would load %s", image.Name)
			}
			continue
		}
		if err := l.load(ctx, archive); err != nil {
			return loaded, err
		}
	}
	return loaded, nil
}

// programs is where boards keep some that sudo doesn't know of.
const programs = "PATH=$PATH:/usr/local/bin:/usr/local/sbin:/usr/sbin:/sbin\n"

// ask asks the board everything at once: each question costs its way there and
// back.
func (l *Load) ask(ctx context.Context) error {
	script := programs + `set -e
echo "machine $(uname -m)"
if zstd --version >/dev/null 2>&1; then echo "zstd yes"; fi
k3s=; ctr=
if command -v k3s >/dev/null; then k3s=yes; ctr="k3s ctr"; echo "k3s yes"; fi
socket=` + remote.Quote(l.Containerd) + `
if command -v ctr >/dev/null; then [ -n "$k3s" ] && [ -z "$socket" ] || ctr=ctr; fi
[ -n "$ctr" ] || { echo "neither k3s nor ctr is there: install k3s first" >&2; exit 1; }
echo "ctr $ctr"
$ctr ${socket:+--address "$socket"} --namespace k8s.io images ls
`
	var out bytes.Buffer
	if err := l.Host.Run(ctx, script, nil, &out); err != nil {
		return err
	}
	l.facts = facts{images: map[string]string{}}
	for line := range strings.Lines(out.String()) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		switch fields[0] {
		case "machine":
			l.facts.architecture = architecture(fields[1])
		case "zstd":
			l.facts.zstd = true
		case "k3s":
			l.facts.k3s = true
		case "ctr":
			l.facts.ctr = strings.Join(fields[1:], " ")
		default: // REF TYPE DIGEST SIZE PLATFORMS LABELS
			if len(fields) > 3 && strings.HasPrefix(fields[2], "sha256:") {
				l.facts.images[fields[0]] = fields[2]
			}
		}
	}
	return nil
}

// architecture is Go's name of what uname says.
func architecture(machine string) string {
	switch machine {
	case "x86_64":
		return "amd64"
	case "aarch64":
		return "arm64"
	case "armv6l", "armv7l", "armv8l":
		return "arm"
	}
	return machine
}

func (l *Load) missing(archive *imagestore.Archive) (missing []imagestore.Named) {
	for _, image := range archive.Images {
		if l.facts.images[image.Name] != image.Digest {
			missing = append(missing, image)
		}
	}
	return missing
}

// parcel is an archive as it travels: compressed, or not where the board can't
// decompress it.
type parcel struct {
	imagestore.Plain
	name string
	open func() (io.ReadCloser, error)
}

func (l *Load) parcel(ctx context.Context, archive *imagestore.Archive) (parcel, error) {
	name := filepath.Base(archive.Path)
	if archive.Compression != "zst" || l.facts.zstd {
		return parcel{imagestore.Plain{Size: archive.Size, SHA256: archive.SHA256}, name, func() (io.ReadCloser, error) { return os.Open(archive.Path) }}, nil
	}
	plain, err := archive.Plain(ctx)
	return parcel{plain, strings.TrimSuffix(name, ".zst"), archive.OpenPlain}, err
}

// isKept says whether the archive lies where k3s finds it, when it should.
func (l *Load) isKept(ctx context.Context, archive *imagestore.Archive) (bool, error) {
	if !l.Persist {
		return true, nil
	}
	p, err := l.parcel(ctx, archive)
	if err != nil {
		return false, err
	}
	sum, err := l.sum(ctx, path.Join(k3sImages, p.name))
	return sum == p.SHA256, err
}

// sum is a file's on the board; empty: there is none.
func (l *Load) sum(ctx context.Context, file string) (string, error) {
	var out bytes.Buffer
	err := l.Host.Run(ctx, fmt.Sprintf(`f=%s; [ ! -f "$f" ] || sha256sum < "$f"`, remote.Quote(file)), nil, &out)
	sum, _, _ := strings.Cut(out.String(), " ")
	return sum, err
}

func (l *Load) load(ctx context.Context, archive *imagestore.Archive) error {
	if l.Local && !l.Persist {
		return l.Steps.Run(l.Name+": import "+filepath.Base(archive.Path), func(*term.Step) error {
			file, err := archive.OpenPlain()
			if err != nil {
				return err
			}
			defer file.Close()
			if err := l.Host.Run(ctx, programs+l.ctr("images import -"), file, nil); err != nil {
				return err
			}
			return l.verify(ctx, archive)
		})
	}
	p, err := l.parcel(ctx, archive)
	if err != nil {
		return err
	}
	staged := path.Join(staging, p.SHA256)
	err = l.Steps.Run(l.Name+": copy "+p.name, func(step *term.Step) error { return l.copy(ctx, step, p, staged) })
	if err != nil {
		return err
	}
	return l.Steps.Run(l.Name+": import "+p.name, func(*term.Step) error {
		read := "cat"
		switch {
		case strings.HasSuffix(p.name, ".zst"):
			read = "zstd -dcq"
		case strings.HasSuffix(p.name, ".gz"):
			read = "gzip -dc"
		}
		script := programs + fmt.Sprintf("set -e\n%s < %s | %s\n", read, staged, l.ctr("images import -"))
		if err := l.Host.Run(ctx, script, nil, nil); err != nil {
			return err
		}
		if err := l.verify(ctx, archive); err != nil {
			return err
		}
		return l.Host.Run(ctx, l.settle(p, staged), nil, nil)
	})
}

// ctr is a command for containerd.
func (l *Load) ctr(arguments string) string {
	address := ""
	if l.Containerd != "" {
		address = "--address " + remote.Quote(l.Containerd) + " "
	}
	return l.facts.ctr + " " + address + "--namespace k8s.io " + arguments
}

// copy sends what of the archive isn't on the board yet. The file is named by
// its content, so that it is never continued with another archive's.
func (l *Load) copy(ctx context.Context, step *term.Step, p parcel, staged string) error {
	partial := staged + ".partial"
	var out bytes.Buffer
	script := fmt.Sprintf(`set -e
mkdir -p %[1]s
if [ -f %[2]s ]; then echo whole; exit; fi
for other in %[1]s/*; do [ "$other" = %[3]s ] || rm -f -- "$other"; done
if [ -f %[3]s ]; then wc -c < %[3]s; else echo 0; fi
df -Pk %[1]s | awk 'NR == 2 { print $4 }'
`, staging, staged, partial)
	if err := l.Host.Run(ctx, script, nil, &out); err != nil {
		return err
	}
	answer := strings.Fields(out.String())
	if len(answer) > 0 && answer[0] == "whole" {
		step.Done("was there")
		return nil
	}
	if len(answer) != 2 {
		return fmt.Errorf("%s: %s and df answer %q", l.Name, staging, out.String())
	}
	there, err := strconv.ParseInt(answer[0], 10, 64)
	free, err2 := strconv.ParseInt(answer[1], 10, 64)
	if err := errors.Join(err, err2); err != nil {
		return fmt.Errorf("%s: %w", l.Name, err)
	}
	if there > p.Size {
		there = 0
	}
	if free *= 1024; free < p.Size-there {
		return fmt.Errorf("%s: only %s are free in %s, %s are needed for the copy alone; make room there", l.Name, imagestore.Megabytes(free), staging, imagestore.Megabytes(p.Size-there))
	}
	if err := l.send(ctx, step, p, partial, there); err != nil {
		return err
	}
	sum, err := l.sum(ctx, partial)
	if err != nil {
		return err
	}
	if sum != p.SHA256 {
		return errors.Join(fmt.Errorf("%s: what arrived isn't what was sent; the copy is removed, run the same command again", l.Name),
			l.Host.Run(ctx, "rm -f -- "+partial, nil, nil))
	}
	if there > 0 {
		step.Done("%s, %s of it were there", imagestore.Megabytes(p.Size), imagestore.Megabytes(there))
	} else {
		step.Done("%s", imagestore.Megabytes(p.Size))
	}
	return l.Host.Run(ctx, fmt.Sprintf("sync; mv -f -- %s %s", partial, staged), nil, nil)
}

func (l *Load) send(ctx context.Context, step *term.Step, p parcel, partial string, there int64) error {
	file, err := p.open()
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := io.CopyN(io.Discard, file, there); err != nil {
		return err
	}
	sent := there
	in := &counted{file, func(n int) {
		sent += int64(n)
		step.Waits("%s of %s", imagestore.Megabytes(sent), imagestore.Megabytes(p.Size))
	}}
	mode := ">>"
	if there == 0 {
		mode = ">"
	}
	if err := l.Host.Run(ctx, fmt.Sprintf("umask 077; cat %s %s", mode, partial), in, nil); err != nil {
		return fmt.Errorf("%w; run the same command again, it goes on where it stopped", err)
	}
	return nil
}

type counted struct {
	io.Reader
	count func(int)
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.count(n)
	return n, err
}

// verify asks containerd whether it has all of an archive now.
func (l *Load) verify(ctx context.Context, archive *imagestore.Archive) error {
	if err := l.ask(ctx); err != nil {
		return err
	}
	var errs []error
	for _, image := range l.missing(archive) {
		errs = append(errs, fmt.Errorf("%s: containerd imported %s without %s; its log says why", l.Name, filepath.Base(archive.Path), image.Name))
	}
	return errors.Join(errs...)
}

// settle puts the copy where k3s finds it, whole or not at all, instead of one
// with another compression; or takes it away.
func (l *Load) settle(p parcel, staged string) string {
	if !l.Persist {
		return "rm -f -- " + staged
	}
	target := path.Join(k3sImages, p.name)
	base, _, _ := strings.Cut(p.name, ".tar")
	return fmt.Sprintf(`set -e
mkdir -p %[1]s
mv -f -- %[2]s %[3]s
sync
mv -f -- %[3]s %[4]s
for other in %[5]s.tar %[5]s.tar.gz %[5]s.tar.zst; do [ "$other" = %[4]s ] || rm -f -- "$other"; done
`, k3sImages, staged, remote.Quote(target+".partial"), remote.Quote(target), remote.Quote(path.Join(k3sImages, base)))
}
