package command

import (
	"github.com/spf13/cobra"

	"github.com/tmorin/homecloud/test/lab/internal/cluster"
)

func (a *app) load() *cobra.Command {
	return &cobra.Command{
		Use:     "load TAR...",
		Short:   "Bring images (archives as `docker save` writes them) into all nodes",
		Example: "  lab load dist/images/*.tar   # each node gets each content once",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.with(true, func(l *cluster.Lab) error { return l.Load(c.Context(), args...) })
		},
	}
}

func (a *app) lan() *cobra.Command {
	c := &cobra.Command{
		Use:     "lan -- COMMAND [ARG...]",
		Short:   "Run a command of this machine as a device on the LAN",
		Example: "  lab lan -- ping -c 1 10.77.0.11\n  lab lan -- smbclient -L 10.77.0.50 -N",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.with(false, func(l *cluster.Lab) error { return l.Client(args...) })
		},
	}
	c.Flags().SetInterspersed(false)
	return c
}

func (a *app) exec() *cobra.Command {
	c := &cobra.Command{
		Use:     "exec NODE -- COMMAND [ARG...]",
		Short:   "Run a command inside a node",
		Example: "  lab exec node-1 -- df -h /srv/homecloud/data\n  lab exec node-1 -- ctr -n k8s.io images ls",
		Args:    cobra.MinimumNArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			if args[1] == "--" { // cobra keeps it after a first argument
				args = append(args[:1], args[2:]...)
			}
			if len(args) < 2 {
				return usageError{errNoCommand}
			}
			return a.with(false, func(l *cluster.Lab) error { return l.Exec(args[0], args[1:]...) })
		},
	}
	c.Flags().SetInterspersed(false)
	return c
}
