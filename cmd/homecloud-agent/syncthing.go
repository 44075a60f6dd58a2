package main

import (
	"fmt"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/tmorin/homecloud/internal/syncthing"
)

func newSyncthingCommand(a *app) *cobra.Command {
	return group("syncthing", "Prepare Syncthing and keep it configured",
		newSyncthingPrepareCommand(a), newSyncthingReconcileCommand(a), newSyncthingRenewCommand(a))
}

// sharesUmask keeps what we make on a disk, or in Syncthing's home, from
// everybody but the owner's group.
const sharesUmask = 0o007

func newSyncthingPrepareCommand(a *app) *cobra.Command {
	var settings string
	p := syncthing.Preparation{}
	cmd := &cobra.Command{
		Use:   "prepare",
		Short: "Write a node's identity and a first configuration",
		Long: `prepare writes cert.pem and key.pem into Syncthing's home and, where there is
none, a configuration without folders. It refuses to give a home another
identity than it had, an empty one, and one that isn't what the peers expect.

It runs as the owner of the shares; the home must exist and be the owner's.`,
		Example: `  homecloud-agent syncthing prepare --config /etc/homecloud/syncthing.json --node node-1 \
    --identity /identity --peers /peers --home /var/lib/syncthing`,
		Args: arguments(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			syscall.Umask(0o077)
			var err error
			if p.Settings, err = syncthing.LoadSettings(settings, p.Node); err != nil {
				return err
			}
			p.Log = a.log
			return p.Run()
		},
	}
	syncthingFlags(cmd, &settings, &p.Node, &p.Peers, &p.Home)
	cmd.Flags().StringVar(&p.Identity, "identity", "", "`folder` of the mounted Secret with cert.pem and key.pem")
	needs(cmd, "identity")
	return cmd
}

func newSyncthingReconcileCommand(a *app) *cobra.Command {
	r := syncthing.Reconciler{}
	cmd := &cobra.Command{
		Use:   "reconcile",
		Short: "Keep a running Syncthing as the settings say",
		Long: `reconcile puts devices, folders and options through Syncthing's REST interface
and follows the mounted settings and the disk. Devices and folders that are no
longer named are removed from Syncthing; what folders hold stays.

A share's folder and marker are made where this generation of the disk never
had the share, and never again. On a disk of another generation a share begins
with a new index and, where there is another node, receives first.

It runs as the owner of the shares, beside Syncthing.`,
		Example: `  homecloud-agent syncthing reconcile --config /etc/homecloud/syncthing.json --node node-1 \
    --peers /peers --socket /run/syncthing/gui.sock --home /var/lib/syncthing`,
		Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			syscall.Umask(sharesUmask)
			r.Log = a.log
			if err := r.Run(cmd.Context()); err != nil {
				return fmt.Errorf("reconcile: %w", err)
			}
			return nil
		},
	}
	syncthingFlags(cmd, &r.Config, &r.Node, &r.Peers, &r.Home)
	cmd.Flags().StringVar(&r.Socket, "socket", "", "Unix `socket` of Syncthing's REST interface")
	needs(cmd, "socket")
	return cmd
}

func newSyncthingRenewCommand(a *app) *cobra.Command {
	var home string
	cmd := &cobra.Command{
		Use:   "renew SHARE",
		Short: "Let one share of this node begin anew, after it has lost its marker",
		Long: `renew has reconcile drop Syncthing's index of one share, make its marker, and
receive before it sends. What the share holds stays, what it lacks comes from the
other nodes, and nothing is announced as deleted: also what somebody deleted
here, and what the others don't know of yet, comes back. The files are read anew,
which takes as long as reading them takes.

It runs beside reconcile, on the node whose share it is.`,
		Example: `  kubectl exec -n homecloud POD -c reconcile -- /agent/homecloud-agent syncthing renew photos`,
		Args:    arguments(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			syscall.Umask(0o077)
			if err := syncthing.Renew(home, args[0], a.log); err != nil {
				return err
			}
			a.log.Info("the share begins anew with the next look at it", "share", args[0])
			return nil
		},
	}
	cmd.Flags().StringVar(&home, "home", "/var/lib/syncthing", "Syncthing's home `folder`, on the system disk")
	return cmd
}

func syncthingFlags(cmd *cobra.Command, settings, node, peers, home *string) {
	cmd.Flags().StringVar(settings, "config", "/etc/homecloud/syncthing.json", "`file` with the settings")
	cmd.Flags().StringVar(node, "node", "", "`name` of this node")
	cmd.Flags().StringVar(peers, "peers", "", "`folder` of the mounted Secret with a device ID per node, and apiKey")
	cmd.Flags().StringVar(home, "home", "", "Syncthing's home `folder`, on the system disk")
	needs(cmd, "node", "peers", "home")
}
