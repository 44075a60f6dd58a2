package command

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/tmorin/homecloud/test/lab/internal/cluster"
)

var errNoCommand = errors.New("no command was given")

// verb is a command of a group: what it does to the lab, given its arguments.
func (a *app) verb(use, short, example string, args cobra.PositionalArgs, do func(*cobra.Command, *cluster.Lab, []string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Example: "  lab " + example, Args: args,
		RunE: func(c *cobra.Command, args []string) error {
			return a.with(true, func(l *cluster.Lab) error { return do(c, l, args) })
		},
	}
}

func group(use, short, example string, verbs ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Example: "  lab " + example}
	c.AddCommand(verbs...)
	return c
}

func (a *app) node() *cobra.Command {
	return group("node", "Cut nodes from power and bring it back", "node kill node-1",
		a.verb("kill NODE...", "Cut nodes from power", "node kill node-1", cobra.MinimumNArgs(1),
			func(_ *cobra.Command, l *cluster.Lab, names []string) error { return l.Kill(names...) }),
		a.verb("start NODE...", "Give nodes power again", "node start node-1", cobra.MinimumNArgs(1),
			func(c *cobra.Command, l *cluster.Lab, names []string) error { return l.Start(c.Context(), names...) }),
	)
}

func (a *app) net() *cobra.Command {
	return group("net", "Unplug nodes from the LAN and plug them in", "net cut node-2",
		a.verb("cut NODE...", "Unplug nodes from the LAN", "net cut node-2", cobra.MinimumNArgs(1),
			func(_ *cobra.Command, l *cluster.Lab, names []string) error { return l.Cut(true, names...) }),
		a.verb("heal NODE...", "Plug nodes in again", "net heal node-2", cobra.MinimumNArgs(1),
			func(_ *cobra.Command, l *cluster.Lab, names []string) error { return l.Cut(false, names...) }),
	)
}

func (a *app) disk() *cobra.Command {
	return group("disk", "Pull data disks of nodes and put them back", "disk detach node-1 data",
		a.verb("detach NODE DISK", "Pull a disk under whatever load: each access is an I/O error, then it is gone", "disk detach node-1 data", cobra.ExactArgs(2),
			func(_ *cobra.Command, l *cluster.Lab, args []string) error { return l.Disk(args[0], args[1], false) }),
		a.verb("attach NODE DISK", "Put a disk back, with what was on it", "disk attach node-1 data", cobra.ExactArgs(2),
			func(_ *cobra.Command, l *cluster.Lab, args []string) error { return l.Disk(args[0], args[1], true) }),
	)
}

func (a *app) api() *cobra.Command {
	return group("api", "Crash the API server and start it again", "api stop",
		a.verb("stop", "Crash the API server and keep it away", "api stop", cobra.NoArgs,
			func(c *cobra.Command, l *cluster.Lab, _ []string) error { return l.API(c.Context(), false) }),
		a.verb("start", "Start the API server again", "api start", cobra.NoArgs,
			func(c *cobra.Command, l *cluster.Lab, _ []string) error { return l.API(c.Context(), true) }),
	)
}
