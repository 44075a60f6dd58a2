// Command images keeps the list of the images that homecloud's charts run
// (images.yaml): it writes their references into the charts' values and makes
// the archives that the lab loads.
//
// It knows how images are made and named, nothing of what runs in them.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := newRootCommand(os.Stdout, os.Stderr).ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func newRootCommand(out, errOut io.Writer) *cobra.Command {
	var root string
	cmd := &cobra.Command{
		Use:           "images",
		Short:         "The images that homecloud's charts run",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	cmd.SetOut(out)
	cmd.SetErr(errOut)
	cmd.PersistentFlags().StringVar(&root, "root", "", "the project's `folder` (default: the one around the current folder)")
	cmd.AddCommand(
		newListCommand(&root),
		newGenerateCommand(&root),
		newBinariesCommand(&root),
		newBuildCommand(&root),
		newArchiveCommand(&root),
	)
	return cmd
}

func newListCommand(root *string) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Print the list",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, list, err := openProject(*root)
			if err != nil {
				return err
			}
			return list.print(cmd.OutOrStdout(), format)
		},
	}
	cmd.Flags().StringVarP(&format, "output", "o", "table", "table, json or yaml")
	return cmd
}

func newGenerateCommand(root *string) *cobra.Command {
	var check bool
	cmd := &cobra.Command{
		Use:   "generate",
		Short: "Write the production references into the charts' values",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, list, err := openProject(*root)
			if err != nil {
				return err
			}
			return generate(cmd.OutOrStdout(), dir, list, check)
		},
	}
	cmd.Flags().BoolVar(&check, "check", false, "change nothing, fail when something would change")
	return cmd
}

func newBinariesCommand(root *string) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "binaries",
		Short: "Build the images' own programs for every architecture, as a build context for docker",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, list, err := openProject(*root)
			if err != nil {
				return err
			}
			for _, image := range list.Images {
				if image.Binary == nil {
					continue
				}
				for _, architecture := range image.Architectures {
					path, err := compile(cmd.Context(), dir, image, architecture, filepath.Join(out, image.Name))
					if err != nil {
						return err
					}
					fmt.Fprintln(cmd.OutOrStdout(), path)
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&out, "out", "dist/binaries", "`folder` that gets NAME/ARCHITECTURE/PROGRAM")
	return cmd
}

func newBuildCommand(root *string) *cobra.Command {
	b := &builder{}
	cmd := &cobra.Command{
		Use:   "build [NAME...]",
		Short: "Make the lab's archives and the values that point at them (root)",
		Long: `build makes each image, or those named, for this machine's architecture with
buildah, without a daemon, and writes OUT/NAME-TAG.tar and OUT/values.yaml.
The tag names the content. What it makes is kept in the user's cache folder and
made again only when something that goes into it has changed.`,
		RunE: func(cmd *cobra.Command, names []string) error {
			dir, list, err := openProject(*root)
			if err != nil {
				return err
			}
			b.dir, b.list, b.log = dir, list, cmd.OutOrStdout()
			return b.build(cmd.Context(), names)
		},
	}
	cmd.Flags().StringVar(&b.out, "out", "dist/images", "`folder` that gets the archives")
	cmd.Flags().BoolVar(&b.refresh, "refresh", false, "make everything anew, with the packages that Debian has now")
	cmd.Flags().BoolVar(&b.again, "again", false, "make also what is unchanged, from the Debian base that is there")
	return cmd
}

func newArchiveCommand(root *string) *cobra.Command {
	var from, out string
	cmd := &cobra.Command{
		Use:   "archive",
		Short: "Make one archive of our own images, for boards without internet",
		Long: `archive puts our own images that build made into one archive, under their
published names: OUT/homecloud-own-images-ARCHITECTURE.tar.zst and its sum. It is
for this machine's architecture; another one is made on such a machine.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, list, err := openProject(*root)
			if err != nil {
				return err
			}
			made, err := archive(cmd.Context(), list, from, out, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), made.Path)
			return err
		},
	}
	cmd.Flags().StringVar(&from, "from", "dist/images", "`folder` with what build made")
	cmd.Flags().StringVar(&out, "out", "dist", "`folder` for the archive")
	return cmd
}

// openProject finds the project's folder and reads its list.
func openProject(root string) (string, *List, error) {
	if root == "" {
		var err error
		if root, err = findRoot(); err != nil {
			return "", nil, err
		}
	}
	path := filepath.Join(root, "images", "images.yaml")
	content, err := os.ReadFile(path)
	if err != nil {
		return "", nil, err
	}
	list, err := parseList("images/images.yaml", content)
	return root, list, err
}

func findRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "images", "images.yaml")); err == nil {
			return dir, nil
		} else if !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no images/images.yaml here or in a folder above: use --root")
		}
		dir = parent
	}
}
