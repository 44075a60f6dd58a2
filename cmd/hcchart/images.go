package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tmorin/homecloud/internal/chart"
	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/imageset"
	"github.com/tmorin/homecloud/internal/values"
)

func newImagesCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "images",
		Short: "Container images: what runs, and how it gets to boards without internet",
		Long: `A board pulls its images from registries on the internet by itself. Without
internet, save makes an archive of all of them for each architecture and load
brings it to the boards; or mirror copies them into a registry at home.

lock writes down what each image is today. From then on save and mirror take
exactly that, whatever its owner does to the tag.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		Example: `  hcchart images list
  hcchart images save --out usb-stick
  hcchart images load --from usb-stick
  hcchart images mirror --to registry.home:5000`,
	}
	cmd.AddCommand(newImagesListCommand(a), newImagesLockCommand(a), newImagesSaveCommand(a), newImagesLoadCommand(a), newImagesMirrorCommand(a))
	return cmd
}

// imagesFlags say whose images a command is about.
type imagesFlags struct {
	chartFlags
	release, namespace string
	extra              []string // --image
	lockFile           string
	writesLock         bool // the lock file may be new
}

func (f *imagesFlags) addTo(cmd *cobra.Command) {
	f.addCharts(cmd)
	f.addValues(cmd)
	cmd.Flags().StringVar(&f.release, "release", config.Release, "`name` of the release")
	cmd.Flags().StringVar(&f.namespace, "namespace", config.Release, "`name` of the namespace")
	cmd.Flags().StringArrayVar(&f.extra, "image", nil, "`reference` of one more image, such as one that an operator pulls; may be repeated")
	cmd.Flags().StringVar(&f.lockFile, "lock", "", "lock `file` (default: images.lock.yaml beside the cluster file)")
}

// found are the images of a chart.
type found struct {
	chart  *chart.Chart
	values map[string]any
	images []imageset.Image
	lock   *imageset.Lock // nil: there is no file
}

// find is look, where there has to be an image.
func (f *imagesFlags) find(a *app, args []string, change func(map[string]any) map[string]any) (*found, error) {
	found, err := f.look(a, args, change)
	if err == nil && len(found.images) == 0 {
		return nil, found.none()
	}
	return found, err
}

func (f *found) none() error {
	return fmt.Errorf("chart %s: runs no image with these values", f.chart.Name)
}

// look renders a chart and looks what it runs; change, if any, has the last
// word on its values.
func (f *imagesFlags) look(a *app, args []string, change func(map[string]any) map[string]any) (*found, error) {
	if err := errors.Join(f.check(a), checkNames(f.release, f.namespace)); err != nil {
		return nil, err
	}
	name := values.ChartUmbrella
	if len(args) == 1 {
		name = args[0]
	}
	c, given, err := chartAndValues(a, &f.chartFlags, name)
	if err != nil {
		return nil, err
	}
	if given, err = f.overlay(a, given); err != nil {
		return nil, err
	}
	if change != nil {
		given = change(given)
	}
	lock, err := f.readLock(a)
	if err != nil {
		return nil, err
	}
	images, suspects, err := f.imagesOf(c, given, lock)
	if err != nil {
		return nil, err
	}
	warnMissing(a, c)
	if len(suspects) > 0 {
		fmt.Fprintf(a.err, "warning: these look like images that something pulls by itself; if they are, name them with --image: %s\n", strings.Join(suspects, ", "))
	}
	return &found{chart: c, values: given, images: images, lock: lock}, nil
}

func (f *imagesFlags) imagesOf(c *chart.Chart, given map[string]any, lock *imageset.Lock) (images []imageset.Image, suspects []string, err error) {
	documents, err := c.Documents(chart.RenderOptions{Release: f.release, Namespace: f.namespace, Values: given})
	if err != nil {
		return nil, nil, err
	}
	annotations, err := c.Annotations(imageset.RuntimeImages, given)
	if err != nil {
		return nil, nil, err
	}
	var set imageset.Set
	errs := []error{set.AddObjects(documents), set.AddAnnotated(annotations)}
	for _, reference := range f.extra {
		if err := set.Add(reference, imageset.Component{Object: "--image"}); err != nil {
			errs = append(errs, usageError{err})
		}
	}
	return set.Images(lock), set.Suspects(documents), errors.Join(errs...)
}

func (f *imagesFlags) lockPath(a *app) string {
	if f.lockFile != "" {
		return f.lockFile
	}
	return imageset.LockPath(a.file)
}

func (f *imagesFlags) readLock(a *app) (*imageset.Lock, error) {
	path := f.lockPath(a)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if f.lockFile != "" && !f.writesLock { // else nothing would be as it is locked
			return nil, fmt.Errorf("--lock: %w; `hcchart images lock --lock %s` writes it", err, path)
		}
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return imageset.ParseLock(filepath.ToSlash(path), text)
}

func newImagesListCommand(a *app) *cobra.Command {
	var flags imagesFlags
	var output string
	cmd := &cobra.Command{
		Use:   "list [CHART]",
		Short: "Print every image that a chart runs",
		Long: `list renders a chart and prints the images of its containers, each once: what runs
it, its architectures, its licence, and its digest where the lock file says it.
Images that operators pull by themselves are those of the annotation
artifacthub.io/images in Chart.yaml, and those named by --image. What looks like
an image elsewhere, in an argument of a container, is told as a warning.

CHART is one of homecloud's charts, by default the umbrella, with values from the
cluster file; or anybody's, as a folder or an archive, with --values alone.

-o plain prints one reference a line, for other tools. What a chart alone can't
say of others' images, licence and architectures, is known once they are locked.`,
		Example: `  hcchart images list
  hcchart images list -o json | jq -r '.[].components[].object'
  hcchart images list -o plain ./charts/web --values production.yaml
  hcchart images list longhorn-1.12.1.tgz --image docker.io/longhornio/longhorn-engine:v1.12.1`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if !slices.Contains([]string{"table", "json", "yaml", "plain"}, output) {
				return usageError{fmt.Errorf("--output %q: write table, json, yaml or plain", output)}
			}
			found, err := flags.look(a, args, nil)
			if err != nil {
				return err
			}
			if len(found.images) == 0 {
				fmt.Fprintln(a.err, found.none())
				found.images = []imageset.Image{}
			}
			if output == "plain" {
				for _, image := range found.images {
					if _, err := fmt.Fprintln(a.out, image.Reference); err != nil {
						return err
					}
				}
				return nil
			}
			return outputFormat(output).print(a.out, found.images, func(table *tableWriter) { printImages(table, found.images) })
		},
	}
	flags.addTo(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table, json, yaml or plain")
	return cmd
}

func printImages(table *tableWriter, images []imageset.Image) {
	table.row("IMAGE", "ARCHITECTURES", "LICENCE", "DIGEST", "RUN BY")
	for _, image := range images {
		digest := image.Digest
		if len(digest) > 19 {
			digest = digest[:19] + "…" // sha256: and twelve digits; -o json has all
		}
		row := []string{image.Reference, unknown(strings.Join(image.Architectures, ",")), unknown(image.Licence), unknown(digest)}
		for _, line := range runBy(image.Components) {
			table.row(append(row, line)...)
			row = []string{"", "", "", ""} // what follows belongs to the same image
		}
	}
}

// runBy is a line for each object, as "DaemonSet web (prepare, serve)".
func runBy(components []imageset.Component) (lines []string) {
	for i := 0; i < len(components); {
		object, containers := components[i].Object, []string(nil)
		for ; i < len(components) && components[i].Object == object; i++ {
			if c := components[i].Container; c != "" {
				containers = append(containers, c)
			}
		}
		if containers != nil {
			object += " (" + strings.Join(containers, ", ") + ")"
		}
		lines = append(lines, object)
	}
	return lines
}

func unknown(text string) string {
	if text == "" {
		return "?"
	}
	return text
}
