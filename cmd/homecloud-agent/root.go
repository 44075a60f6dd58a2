package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"
)

// app is what every command is given.
type app struct {
	out, err io.Writer
	log      *slog.Logger

	logLevel string // --log-level
}

// Exit codes, those of hcchart and hostprep. The gate ends with its daemon's.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 64
	exitInterrupted = 130
	exitTerminated  = 143
)

// usageError marks an error in how the command was called.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// exitError carries another process' exit code.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

func newRootCommand(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "homecloud-agent",
		Short: "What homecloud runs inside the cluster",
		Long: `homecloud-agent keeps daemons from running without their disk, configures
Syncthing, makes accounts and secrets, and answers probes.`,
		Example:       `  homecloud-agent gate --disk data --cluster home -- /usr/sbin/smbd --foreground`,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			var level slog.Level
			if err := level.UnmarshalText([]byte(a.logLevel)); err != nil {
				return usageError{fmt.Errorf("--log-level %q: write debug, info, warn or error", a.logLevel)}
			}
			a.log = slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: level}))
			return nil
		},
	}
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.PersistentFlags().StringVar(&a.logLevel, "log-level", "info", "debug, info, warn or error")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.CompletionOptions.DisableDefaultCmd = true // nobody types here
	root.AddCommand(
		newInstallCommand(a),
		newGateCommand(a),
		newDiskCommand(a),
		newAccountsCommand(a),
		newSambaCommand(a),
		newSyncthingCommand(a),
		newProbeCommand(a),
		newSecretsCommand(a),
		newVIPCommand(a),
		newStateCommand(a),
		newVersionCommand(a),
	)
	return root
}

// group is a command that only holds others.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	parent := &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usageError{fmt.Errorf("%s: say which command; see --help", cmd.CommandPath())}
		},
	}
	parent.AddCommand(commands...)
	return parent
}

// arguments makes an arguments check tell wrong usage.
func arguments(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usageError{fmt.Errorf("%s: %w; see --help", cmd.CommandPath(), err)}
		}
		return nil
	}
}

// needs marks flags that have no sensible default.
func needs(cmd *cobra.Command, names ...string) {
	for _, name := range names {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err) // the flag doesn't exist: a mistake in the code
		}
	}
}

// exitCode decides the exit code from the error, in one place, and prints the
// error for a person.
func exitCode(ctx context.Context, err error, stderr io.Writer) int {
	var usage usageError
	var exit exitError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &exit):
		return int(exit)
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return exitTerminated
	case errors.As(err, &usage), isCobraUsage(err):
		fmt.Fprintf(stderr, "%v\n", err)
		return exitUsage
	default:
		fmt.Fprintf(stderr, "%v\n", err)
		return exitFailed
	}
}

// isCobraUsage recognises the two errors about usage that cobra makes itself.
func isCobraUsage(err error) bool {
	return strings.HasPrefix(err.Error(), "required flag(s)") || strings.HasPrefix(err.Error(), "unknown command")
}
