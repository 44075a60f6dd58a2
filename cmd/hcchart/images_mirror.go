package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/spf13/cobra"

	"github.com/tmorin/homecloud/internal/imageset"
	"github.com/tmorin/homecloud/internal/imagestore"
	"github.com/tmorin/homecloud/internal/term"
)

func newImagesMirrorCommand(a *app) *cobra.Command {
	var flags imagesFlags
	var store storeFlags
	mirror := imagestore.Mirror{}
	var to string
	cmd := &cobra.Command{
		Use:   "mirror [CHART]",
		Short: "Copy all images into a registry",
		Long: `mirror copies the images of a chart into a registry, below a prefix if --to names
one, and prints the value that makes the chart use them. What the registry has
isn't copied again. Accounts are those that docker login keeps.

All architectures are copied, in the image's own index, so that its digest stays;
--arch copies some of them only, in an index of their own.

An image that doesn't follow global.imageRegistry is told as a warning: its
chart has another value for it, or none.`,
		Example: `  hcchart images mirror --to registry.home:5000 > mirror.yaml
  hcchart up --values mirror.yaml
  hcchart images mirror --to registry.home/cache --arch arm64 --dry-run`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkMirror(to); err != nil {
				return err
			}
			to = strings.TrimSuffix(to, "/")
			if len(mirror.Architectures) > 0 {
				var err error
				if mirror.Architectures, err = a.architectures(mirror.Architectures, false); err != nil {
					return err
				}
			}
			found, err := flags.find(a, args, withRegistry(""))
			if err != nil {
				return err
			}
			mirrored := map[string]bool{}
			for _, image := range found.images {
				for _, written := range image.Written {
					target := imageset.Mirrored(written, to)
					if !mirrored[target] {
						mirror.Copies = append(mirror.Copies, imagestore.Copy{From: image.Reference, To: target})
					}
					mirrored[target] = true
				}
			}
			flags.warnLeftBehind(a, found, to, mirrored)
			if mirror.Store, err = imagestore.Open(cmd.Context(), store.Options); err != nil {
				return err
			}
			mirror.Lock, mirror.Steps = found.lock, term.NewSteps(a.err)
			copied, err := mirror.Run(cmd.Context())
			if err != nil {
				return err
			}
			what := "were copied"
			if mirror.DryRun {
				what = "would be copied"
			}
			fmt.Fprintf(a.err, "%d of %s %s\n", copied, counted(len(mirror.Copies), "image"), what)
			_, err = fmt.Fprintf(a.out, "global:\n  imageRegistry: %q\n", to)
			return err
		},
	}
	flags.addTo(cmd)
	store.addTo(cmd)
	cmd.Flags().StringVar(&to, "to", "", "`registry` to copy to, or registry/prefix")
	cmd.Flags().StringSliceVar(&mirror.Architectures, "arch", nil, "`names` of architectures (default: all that an image has)")
	cmd.Flags().BoolVar(&mirror.DryRun, "dry-run", false, "copy nothing, only tell what would be copied")
	return cmd
}

func checkMirror(to string) error {
	if to == "" {
		return usageError{errors.New("--to is missing; name a registry, such as registry.home:5000")}
	}
	if named, err := reference.ParseNormalizedNamed(strings.TrimSuffix(to, "/") + "/x"); err != nil || !strings.HasPrefix(named.Name(), to) {
		return usageError{fmt.Errorf("--to %q: write a registry as HOST, HOST:PORT or HOST/PREFIX, without https://", to)}
	}
	return nil
}

// withRegistry sets global.imageRegistry, where a chart has values called
// global.
func withRegistry(registry string) func(map[string]any) map[string]any {
	return func(values map[string]any) map[string]any {
		global, _ := values["global"].(map[string]any)
		if global == nil && registry == "" {
			return values
		}
		values, global = maps.Clone(values), maps.Clone(global)
		if global == nil {
			global = map[string]any{}
		}
		if global["imageRegistry"] = registry; registry == "" {
			delete(global, "imageRegistry")
		}
		values["global"] = global
		return values
	}
}

// warnLeftBehind renders once more, as the chart will be used, and tells which
// of its images wouldn't come from the mirror.
func (f *imagesFlags) warnLeftBehind(a *app, found *found, to string, mirrored map[string]bool) {
	images, _, err := f.imagesOf(found.chart, withRegistry(to)(found.values), nil)
	if err != nil {
		fmt.Fprintf(a.err, "warning: the chart doesn't take global.imageRegistry: %v\n", err)
		return
	}
	var behind []string
	for _, image := range images {
		if !slices.ContainsFunc(image.Written, func(written string) bool { return mirrored[written] }) && image.Components[0].Source != "" {
			behind = append(behind, image.Reference)
		}
	}
	if behind != nil {
		fmt.Fprintf(a.err, "warning: these don't follow global.imageRegistry: %s; set their own values\n", strings.Join(behind, ", "))
	}
}
