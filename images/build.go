package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// builder makes the lab's archives.
type builder struct {
	dir     string // the project's folder
	list    *List
	out     string
	refresh bool
	again   bool
	log     io.Writer

	cache *cache
	base  *base // nil until an image wants it
}

// localRepository is where the lab's nodes look for images: a name that no
// registry answers to, so that a missing image is an error at once.
const localRepository = "localhost/homecloud/"

// recipe counts the changes of this program after which the same inputs make
// another image.
const recipe = "1"

func (b *builder) build(ctx context.Context, names []string) (err error) {
	images, err := b.list.find(names)
	if err != nil {
		return err
	}
	if err := checkPrograms(); err != nil {
		return err
	}
	if b.cache, err = openCache(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.cache.close()) }()
	if err := os.MkdirAll(b.out, 0o755); err != nil {
		return err
	}

	tags := map[string]string{}
	for _, image := range images {
		record, err := b.image(ctx, image)
		if err != nil {
			return fmt.Errorf("image %s: %w", image.Name, err)
		}
		if err := b.deliver(image.Name, record); err != nil {
			return err
		}
		tags[image.Name] = record.Tag
	}
	if err := writeValues(filepath.Join(b.out, "values.yaml"), images, tags); err != nil {
		return err
	}
	return b.cache.prune()
}

// checkPrograms says everything that is missing at once, with what to install.
func checkPrograms() error {
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		return errors.New("making images needs root on Linux (chroot, mounts)")
	}
	var missing []string
	for _, program := range []string{"buildah", "mmdebstrap"} { // packages of the same names
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, program)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("missing: %s\nrun: apt-get install --no-install-recommends %[1]s", strings.Join(missing, " "))
	}
	return nil
}

// image gives the image's record, made anew only when what goes into it changed.
func (b *builder) image(ctx context.Context, image Image) (record, error) {
	began := time.Now()
	containerfile := filepath.Join(b.dir, "images", image.Name, "Containerfile")
	text, err := os.ReadFile(containerfile)
	if err != nil {
		return record{}, err
	}

	in := newInputs()
	in.add("recipe", recipe)
	in.add("architecture", runtime.GOARCH)
	in.add("containerfile", string(text))
	in.add("version", image.Production.Tag)

	// An image of ours is either one program or what a Containerfile takes from Debian.
	buildContext := filepath.Join(b.dir, "images")
	arguments := map[string]string{"VERSION": image.Production.Tag, "TARGETARCH": runtime.GOARCH}
	if image.Binary != nil {
		buildContext = b.cache.path("binaries", image.Name)
		binary, err := b.binary(ctx, image, buildContext)
		if err != nil {
			return record{}, err
		}
		if err := in.addFile("binary", binary); err != nil {
			return record{}, err
		}
	} else {
		if err := in.addFile("closure", filepath.Join(buildContext, "closure.sh")); err != nil {
			return record{}, err
		}
		if err := in.addFolder("files", filepath.Join(buildContext, image.Name)); err != nil {
			return record{}, err
		}
		if b.base == nil {
			if b.base, err = planBase(ctx, b.list.Base.Suite); err != nil {
				return record{}, err
			}
		}
		in.add("base", b.base.hash)
		arguments["BASE"] = b.base.reference()
	}

	if known, ok := b.cache.record(image.Name, in.hash()); ok && !b.refresh && !b.again {
		b.say(image.Name, fmt.Sprintf("%s unchanged, %s", known.Tag, megabytes(known.Size)), began)
		return known, nil
	}
	if image.Binary == nil {
		if err := b.makeBase(ctx); err != nil {
			return record{}, fmt.Errorf("its base: %w", err)
		}
		began = time.Now()
	}
	made, err := b.bake(ctx, image, in.hash(), containerfile, buildContext, arguments)
	if err != nil {
		return record{}, err
	}
	b.say(image.Name, fmt.Sprintf("%s made, %s", made.Tag, megabytes(made.Size)), began)
	return made, nil
}

// bake runs buildah and keeps the archive. The tag is made of the inputs and of
// what Debian had that day: the same tag never means two contents.
func (b *builder) bake(ctx context.Context, image Image, hash, containerfile, buildContext string, arguments map[string]string) (record, error) {
	work := localRepository + image.Name + ":being-made"
	// A killed build may have left containers, which hold on to their images.
	if err := b.cache.buildah(ctx, image.Name, "rm", "--all"); err != nil {
		return record{}, err
	}
	if err := b.cache.buildah(ctx, image.Name, append(bakeArguments(arguments),
		"--file", containerfile, "--tag", work, buildContext)...); err != nil {
		return record{}, err
	}
	packages, err := b.cache.packages(ctx, work)
	if err != nil {
		return record{}, err
	}
	in := newInputs()
	in.add("inputs", hash)
	in.add("packages", strings.Join(packages, "\n"))
	made := record{Name: image.Name, Inputs: hash, Tag: in.hash()[:12], Packages: packages}

	archive := b.cache.archive(made)
	partial := archive + ".partial"
	if err := os.RemoveAll(partial); err != nil { // buildah refuses to write over an archive
		return record{}, err
	}
	// An archive carries every name that the image has, so it gets its real one.
	reference := localRepository + image.Name + ":" + made.Tag
	for _, step := range [][]string{
		{"tag", work, reference},
		{"rmi", work},
		{"push", reference, "docker-archive:" + partial},
		{"rmi", "--force", reference},
	} {
		if err := b.cache.buildah(ctx, image.Name, step...); err != nil {
			return record{}, err
		}
	}
	info, err := os.Stat(partial)
	if err != nil {
		return record{}, err
	}
	made.Size = info.Size()
	if err := os.Rename(partial, archive); err != nil {
		return record{}, err
	}
	return made, b.cache.keep(made)
}

func bakeArguments(arguments map[string]string) []string {
	args := []string{
		"bud",
		"--isolation", "chroot", // needs no runtime, no systemd and no network of its own
		"--layers=false",   // intermediate images would only fill the cache
		"--timestamp", "0", // the same inputs, the same bytes
		"--pull-never",
	}
	for _, name := range []string{"BASE", "TARGETARCH", "VERSION"} {
		if value, ok := arguments[name]; ok {
			args = append(args, "--build-arg", name+"="+value)
		}
	}
	return args
}

// deliver puts the archive into the output folder and takes older ones of the
// same image away, so that "everything in the folder" is one consistent set.
func (b *builder) deliver(name string, r record) error {
	target := filepath.Join(b.out, name+"-"+r.Tag+".tar")
	old, err := filepath.Glob(filepath.Join(b.out, name+"-????????????.tar"))
	if err != nil {
		return err
	}
	for _, path := range old {
		if path != target {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	if info, err := os.Stat(target); err == nil && info.Size() == r.Size {
		return nil
	}
	return placeFile(b.cache.archive(r), target)
}

func (b *builder) say(name, what string, began time.Time) {
	fmt.Fprintf(b.log, "%-11s %-36s %6.1f s\n", name, what, time.Since(began).Seconds())
}

func megabytes(bytes int64) string { return fmt.Sprintf("%.1f MB", float64(bytes)/1e6) }

const valuesHeader = `# Made by "images build": the umbrella chart's values that point at the lab's images.
`

// writeValues sets the images that were made in the overrides; those of other
// images stay, so that one image can be made alone.
func writeValues(path string, images []Image, tags map[string]string) error {
	values := map[string]any{}
	content, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := yaml.Unmarshal(content, &values); err != nil {
		return fmt.Errorf("%s: %w (remove it to start anew)", path, err)
	}
	for _, image := range images {
		for _, place := range image.Values {
			at := values
			for _, key := range strings.Split(place, ".") {
				below, ok := at[key].(map[string]any)
				if !ok {
					below = map[string]any{}
					at[key] = below
				}
				at = below
			}
			clear(at)
			at["repository"] = localRepository + image.Name
			at["tag"] = tags[image.Name]
		}
	}
	var text bytes.Buffer
	text.WriteString(valuesHeader)
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	if err := encoder.Encode(values); err != nil {
		return err
	}
	if bytes.Equal(text.Bytes(), content) {
		return nil
	}
	return os.WriteFile(path, text.Bytes(), 0o644)
}

// tail gives the last lines of a log, for an error message.
func tail(path string, lines int) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return lastLines(content, lines)
}
