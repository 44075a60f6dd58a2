// Command release rehearses a release without a network: it builds all that
// would be published, a second time from a clone of the same commit, and
// compares every byte. It publishes nothing.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/tmorin/homecloud/internal/term"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := newRootCommand(os.Stderr).ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func newRootCommand(log io.Writer) *cobra.Command {
	steps := term.NewSteps(log)
	r := &rehearsal{build: build{steps: steps}}
	cmd := &cobra.Command{
		Use:   "release",
		Short: "Build a release twice and compare",
		Long: `release writes what would be published into a folder: hcchart for five systems,
homecloud-agent, charts, our own images for this machine's architecture, what is
inside of each (CycloneDX), SHA256SUMS and the notes out of CHANGELOG.md.

Everything is built a second time from a clone of the same commit, in another
folder, with another umask and time zone. A file that isn't the same, byte for
byte, is an error that names the first difference, and both builds stay.`,
		Args:          cobra.NoArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return r.run(cmd.Context()) },
	}
	r.addTo(cmd)
	cmd.Flags().BoolVar(&r.allowDirty, "allow-dirty", false, "build also what isn't committed, once, with nothing to compare")
	cmd.AddCommand(newBuildCommand(steps), newCompareCommand(steps))
	return cmd
}

// newBuildCommand is what the second build runs in its clone.
func newBuildCommand(steps *term.Steps) *cobra.Command {
	b := &build{steps: steps}
	cmd := &cobra.Command{
		Use:   "build",
		Short: "Build once",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return b.run(cmd.Context()) },
	}
	b.addTo(cmd)
	cmd.Flags().StringVar(&b.version, "version", "devel", "`version` that the programs say")
	return cmd
}

func newCompareCommand(steps *term.Steps) *cobra.Command {
	return &cobra.Command{
		Use:   "compare FOLDER FOLDER",
		Short: "Compare two builds",
		Args:  cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			return steps.Run("compare", func(step *term.Step) error {
				files, err := compare(args[0], args[1])
				step.Done("%d files, all the same", files)
				return err
			})
		},
	}
}

func (b *build) addTo(cmd *cobra.Command) {
	cmd.Flags().StringVar(&b.root, "root", ".", "the project's `folder`")
	cmd.Flags().StringVar(&b.out, "out", "dist/release", "`folder` to write")
	cmd.Flags().StringSliceVar(&b.without, "without", nil, "`names` of dependencies that charts leave out")
	cmd.Flags().BoolVar(&b.withoutImages, "without-images", false, "leave the archive of our images out, which needs root")
}
