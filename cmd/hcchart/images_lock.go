package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tmorin/homecloud/internal/imageset"
	"github.com/tmorin/homecloud/internal/imagestore"
	"github.com/tmorin/homecloud/internal/term"
)

// storeFlags say where images come from.
type storeFlags struct{ imagestore.Options }

func (f *storeFlags) addTo(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.Archives, "from", nil, "`archive` to take images from before asking registries, or REFERENCE=ARCHIVE; may be repeated")
	f.addRegistry(cmd)
}

func (f *storeFlags) addRegistry(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.Cache, "cache", "", "`folder` that keeps what was fetched (default: homecloud/blobs in the user's cache folder)")
	cmd.Flags().BoolVar(&f.Insecure, "insecure", false, "ask registries without TLS, too")
}

func newImagesLockCommand(a *app) *cobra.Command {
	var flags imagesFlags
	var store storeFlags
	var check bool
	cmd := &cobra.Command{
		Use:   "lock [CHART]",
		Short: "Write down what each image is now",
		Long: `lock asks the registries what each image is now, the digest of its index and of
each architecture, and what its licence is, and writes it into images.lock.yaml.
Commit that file: save and mirror take exactly this content from then on.

Images of other charts stay in the file; another tag of the same image replaces
the one before. --check writes nothing and ends with exit code 2 when the file
isn't what it would write.`,
		Example: `  hcchart images lock
  hcchart images lock --check              # was a tag moved?
  hcchart images lock ./charts/web --values production.yaml --lock web.lock.yaml`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			flags.writesLock = !check
			found, err := flags.find(a, args, nil)
			if err != nil {
				return err
			}
			from, err := imagestore.Open(cmd.Context(), store.Options)
			if err != nil {
				return err
			}
			var now map[string]imageset.Locked
			if err := term.NewSteps(a.err).Run("look for the images", func(step *term.Step) error {
				now, err = from.Lock(cmd.Context(), found.references())
				step.Done("%d", len(now))
				return err
			}); err != nil {
				return err
			}
			lock, changes := found.lock.Updated(now)
			for _, change := range changes {
				if _, err := fmt.Fprintln(a.out, change); err != nil {
					return err
				}
			}
			if check {
				if len(changes) > 0 {
					return errDifferences
				}
				return nil
			}
			text, err := lock.Text()
			if err != nil {
				return err
			}
			return replaceFile(flags.lockPath(a), text)
		},
	}
	flags.addTo(cmd)
	store.addRegistry(cmd)
	cmd.Flags().BoolVar(&check, "check", false, "write nothing, only compare")
	return cmd
}

// references are the images' names.
func (f *found) references() (names []string) {
	for _, image := range f.images {
		names = append(names, image.Reference)
	}
	return names
}

// warnPulled tells of containers that need their registry at every start.
func warnPulled(a *app, images []imageset.Image) {
	for _, image := range images {
		if image.AlwaysPulled {
			fmt.Fprintf(a.err, "warning: %s: %s asks the registry at every start; set imagePullPolicy: IfNotPresent, and a tag that isn't latest\n", image.Reference, image.Components[0])
		}
	}
}

// architectures are those of --arch; without it those of the boards, where the
// cluster file knows all of them, or else those of all boards that we build for.
func (a *app) architectures(given []string, ours bool) ([]string, error) {
	if len(given) > 0 {
		slices.Sort(given)
		for _, name := range given {
			if !slices.Contains(boardArchitectures, name) {
				return nil, usageError{fmt.Errorf("--arch %q: write %s", name, strings.Join(boardArchitectures, ", "))}
			}
		}
		return slices.Compact(given), nil
	}
	if ours {
		cluster, err := a.cluster()
		if err != nil {
			return nil, err
		}
		names := map[string]bool{}
		for _, node := range cluster.Nodes {
			names[node.Arch] = true
		}
		if !names[""] {
			return slices.Sorted(maps.Keys(names)), nil
		}
	}
	return []string{"amd64", "arm64"}, nil
}

var boardArchitectures = []string{"amd64", "arm", "arm64", "riscv64"}
