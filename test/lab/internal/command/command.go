// Package command is the command line of the lab: flags, one call, output.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/tmorin/homecloud/test/lab/internal/build"
	"github.com/tmorin/homecloud/test/lab/internal/cluster"
	"github.com/tmorin/homecloud/test/lab/internal/control"
	"github.com/tmorin/homecloud/test/lab/internal/namespace"
	"github.com/tmorin/homecloud/test/lab/internal/node"
)

// Exit codes, the same as those of the project's other commands.
const (
	exitFailed      = 1
	exitUsage       = 64
	exitInterrupted = 130
	exitTerminated  = 143
)

// usageError is a wrong command line.
type usageError struct{ error }

type app struct {
	out, err  io.Writer
	cache     build.Cache
	name, dir string
}

// Main runs one command and returns its exit code.
func Main(sources fs.FS, args []string) int {
	if code, hidden := inner(args); hidden {
		return code
	}
	dir, err := build.DefaultDir()
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "lab:", err)
		return exitFailed
	}
	a := &app{out: os.Stdout, err: os.Stderr, cache: build.Cache{Sources: sources, Dir: dir}}
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() { cancel(signalError{<-signals}); signal.Stop(signals) }()

	root := a.root()
	root.SetArgs(args)
	err = root.ExecuteContext(ctx)
	var command namespace.ExitError
	var usage usageError
	var caught signalError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &command):
		return command.Code
	case errors.As(context.Cause(ctx), &caught):
		_, _ = fmt.Fprintln(a.err, "lab:", caught)
		if caught.Signal == syscall.SIGTERM {
			return exitTerminated
		}
		return exitInterrupted
	case errors.As(err, &usage):
		_, _ = fmt.Fprintf(a.err, "lab: %v\nSee `lab --help`.\n", err)
		return exitUsage
	default:
		_, _ = fmt.Fprintln(a.err, "lab:", err)
		return exitFailed
	}
}

type signalError struct{ os.Signal }

func (s signalError) Error() string { return s.String() }

// inner are the processes of a lab that are this program too. They have no place in the
// help, and get along without the rest.
func inner(args []string) (code int, hidden bool) {
	if len(args) == 0 {
		return 0, false
	}
	var err error
	switch {
	case args[0] == namespace.Midwife && len(args) == 1:
		err = namespace.Deliver()
	case args[0] == "init-lan" && len(args) == 2:
		err = control.Init(args[1])
	case args[0] == "init-node" && len(args) == 2:
		err = node.Init(args[1])
	case args[0] == "init-disk" && len(args) == 5:
		err = cluster.InsideDisk(args[1], args[2], args[3], args[4])
	default:
		return 0, false
	}
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "lab:", err)
		return exitFailed, true
	}
	return 0, true
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "lab",
		Short: "A real Kubernetes on this machine, offline, with faults at hand",
		Long: `Lab runs Kubernetes nodes as process trees of this machine: each with its own
file tree, network and memory limit, on a LAN of their own. Nothing is downloaded,
and nothing of the machine's own network is touched.`,
		Example:           "  lab up\n  lab kubeconfig >kubeconfig\n  lab node kill node-1\n  lab down",
		SilenceErrors:     true,
		SilenceUsage:      true,
		PersistentPreRunE: func(*cobra.Command, []string) error { return a.checkName() },
	}
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	flags := root.PersistentFlags()
	flags.StringVar(&a.name, "name", "lab", "name of the lab; several can run at once")
	flags.StringVar(&a.dir, "dir", "", "folder of its state (default "+cluster.DefaultDir("NAME")+")")
	root.AddCommand(a.up(), a.down(), a.status(), a.kubeconfig(), a.load(), a.lan(), a.exec(),
		a.node(), a.net(), a.disk(), a.api(), a.build())
	for _, c := range root.Commands() {
		strict(c)
	}
	root.Args = cobra.ArbitraryArgs
	root.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return c.Help()
		}
		return usageError{fmt.Errorf("unknown command %q", args[0])}
	}
	return root
}

// strict makes wrong arguments wrong usage, in all commands below.
func strict(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return usageError{fmt.Errorf("%w: usage: %s", err, c.UseLine())}
			}
			return nil
		}
	}
	if c.HasSubCommands() && c.RunE == nil {
		c.Args = cobra.ArbitraryArgs
		c.RunE = func(c *cobra.Command, args []string) error {
			return usageError{fmt.Errorf("unknown command %q: one of %s", strings.Join(append([]string{c.Name()}, args...), " "), verbs(c))}
		}
	}
	for _, sub := range c.Commands() {
		strict(sub)
	}
}

func verbs(c *cobra.Command) string {
	var out []string
	for _, sub := range c.Commands() {
		out = append(out, c.Name()+" "+sub.Name())
	}
	return strings.Join(out, ", ")
}

var names = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?$`)

func (a *app) checkName() error {
	if !names.MatchString(a.name) {
		return usageError{fmt.Errorf("--name %q: up to 22 lower-case letters, digits and inner dashes", a.name)}
	}
	return nil
}

// with opens the lab for one call. Changes exclude each other; what only looks, or runs a
// command for as long as it likes, doesn't wait.
func (a *app) with(change bool, do func(*cluster.Lab) error) error {
	l, done, err := cluster.Open(a.name, a.dir, a.err, change)
	if err != nil {
		return err
	}
	defer done()
	return do(l)
}
