package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/term"
)

// app is what every command is given: its streams and the flags they share.
type app struct {
	in       io.Reader // ends with an interrupt once a command runs
	out, err io.Writer
	keyboard *os.File // in, when a person types there; else nil

	file     string // --file: the cluster file, "-" for standard input
	logLevel string // --log-level

	loaded *config.Cluster // the cluster file, once it was read

	// started is set when flags and arguments were understood: whatever fails
	// before is wrong usage.
	started bool
}

// Exit codes, the same for hcchart and hostprep.
const (
	exitDone        = 0
	exitFailed      = 1
	exitDifferences = 2
	exitUsage       = 64
	exitInterrupted = 130
	exitTerminated  = 143
)

// errTerminated is why the context ended when the process was told to end,
// and not a person at the keyboard.
var errTerminated = errors.New("terminated")

// errDifferences ends a command that compared and found something.
var errDifferences = errors.New("differences found")

// usageError marks an error in how the command was called.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// cluster reads the cluster file, once: standard input can't be read again.
func (a *app) cluster() (*config.Cluster, error) {
	if a.loaded == nil {
		cluster, err := config.LoadFrom(a.file, a.in)
		if err != nil {
			return nil, err
		}
		a.loaded = cluster
	}
	return a.loaded, nil
}

func newRootCommand(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "hcchart",
		Short: "Turn homecloud.yaml into a running private cloud",
		Long: `hcchart reads homecloud.yaml, keeps the secrets beside it, and installs the
cloud that it describes on a Kubernetes cluster.`,
		Example: `  hcchart init             # write homecloud.yaml and its secrets file
  hcchart validate         # is the file right?
  hcchart up               # make it so, and wait until it is usable`,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			a.started = true
			if a.file == "" {
				return usageError{errors.New("--file is empty; name the cluster file, or - for standard input")}
			}
			if term.IsTerminal(a.in) {
				a.keyboard = a.in.(*os.File)
			}
			a.in = interruptible{cmd.Context(), a.in}
			var level slog.Level
			if err := level.UnmarshalText([]byte(a.logLevel)); err != nil {
				return usageError{fmt.Errorf("--log-level %q: write debug, info, warn or error", a.logLevel)}
			}
			slog.SetDefault(slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: level})))
			return nil
		},
	}
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.PersistentFlags().StringVarP(&a.file, "file", "f", "homecloud.yaml", "cluster `file`, - for standard input")
	root.PersistentFlags().StringVar(&a.logLevel, "log-level", "warn", "debug, info, warn or error")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(newInitCommand(a), newValidateCommand(a), newSchemaCommand(a))
	root.AddCommand(newVersionCommand(a))
	root.AddCommand(newSecretsCommand(a))
	root.AddCommand(newValuesCommand(a), newRenderCommand(a), newCheckCommand(a), newDiffCommand(a), newDocsCommand(a), newPackageCommand(a), newPushCommand(a))
	root.AddCommand(newBudgetCommand(a), newDiagramCommand(a), newImagesCommand(a))
	root.AddCommand(newUpCommand(a), newUpgradeCommand(a), newStatusCommand(a), newDownCommand(a))
	root.AddCommand(newGitopsCommand(a))
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	explainArguments(root)
	root.SetUsageTemplate(examplesLast(root.UsageTemplate()))
	return root
}

// examplesLast moves the library's paragraph of examples to the end of a help:
// there a terminal shows it without scrolling.
func examplesLast(template string) string {
	const examples = "{{if .HasExample}}\n\nExamples:\n{{.Example}}{{end}}"
	return strings.TrimSuffix(strings.Replace(template, examples, "", 1), "\n") + examples + "\n"
}

// exitCode decides the exit code from the error, in one place, and prints the
// error for a person.
func exitCode(ctx context.Context, err error, stderr io.Writer) int {
	var usage usageError
	switch {
	case err == nil:
		return exitDone
	case errors.Is(context.Cause(ctx), errTerminated):
		fmt.Fprintln(stderr, errTerminated)
		return exitTerminated
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "interrupted")
		return exitInterrupted
	case errors.Is(err, errDifferences):
		return exitDifferences
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "%v\n", err)
		return exitUsage
	default:
		fmt.Fprintf(stderr, "%v\n", err)
		return exitFailed
	}
}
