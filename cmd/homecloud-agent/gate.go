package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/disk"
	"github.com/tmorin/homecloud/internal/gate"
	"github.com/tmorin/homecloud/internal/syncthing"
)

func newGateCommand(a *app) *cobra.Command {
	var expected disk.Expectation
	var status, umask, syncthingHome, reload string
	var follow []string
	cmd := &cobra.Command{
		Use:   "gate --disk NAME --cluster NAME [flags] -- COMMAND [ARG...]",
		Short: "Run a daemon only while the right disk is there",
		Long: `gate runs COMMAND while the right disk is mounted at ROOT/DISK: a file system
of its own, with a sentinel of this cluster and disk, that is read and written
for real every few seconds. When it isn't, COMMAND is ended (TERM, three
seconds later KILL) and started again when the disk is back; the gate itself
goes on. Another mounting of the same disk is another disk: COMMAND is
restarted. A full disk stays open.

COMMAND is told to read its configuration again when what --follow names has
changed.

For Syncthing, the gate also keeps account of whether the disk was left in order: one
that was torn away, or whose board lost power, only receives until
"syncthing reconcile" has settled what differs.

The gate ends with the exit code of a COMMAND that ends by itself.`,
		Example: `  homecloud-agent gate --disk data --cluster home --follow /etc/samba/smb.conf \
    --status /run/gate/smbd.json -- /usr/sbin/smbd --foreground --no-process-group`,
		Args: arguments(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if umask != "" {
				mask, err := strconv.ParseUint(umask, 8, 9)
				if err != nil {
					return usageError{fmt.Errorf("--umask %q: write an octal number, as in 007", umask)}
				}
				unix.Umask(int(mask))
			}
			g := gate.Gate{
				Watch:   watch(a, expected),
				Command: args,
				Status:  status,
				Follow:  follow,
				Reload:  strings.Fields(reload),
				Log:     a.log.With("gate", filepath.Base(args[0])),
			}
			if syncthingHome != "" {
				g.Begin = (&syncthing.Session{Disk: expected, Home: syncthingHome, Log: g.Log}).Begin
			}
			// The gate handles TERM itself: its daemon comes first.
			code, err := g.Run(context.WithoutCancel(cmd.Context()))
			if err != nil {
				return err
			}
			return exitError(code)
		},
	}
	// COMMAND's own flags are not ours, with or without the two hyphens.
	cmd.Flags().SetInterspersed(false)
	expectationFlags(cmd, &expected)
	cmd.Flags().StringArrayVar(&follow, "follow", nil, "`file`, or folder, whose content, or names, COMMAND has read; may be repeated")
	cmd.Flags().StringVar(&reload, "reload", "", "`program`, with arguments, that tells COMMAND of a change; without, it gets HUP")
	cmd.Flags().StringVar(&syncthingHome, "syncthing-home", "", "home `folder` of the Syncthing that COMMAND is")
	cmd.Flags().StringVar(&umask, "umask", "", "octal `mask` of what COMMAND makes, for one that sets none itself")
	cmd.Flags().StringVar(&status, "status", "", "`file` to keep the gate's state in, for `probe gate`")
	return cmd
}

func expectationFlags(cmd *cobra.Command, expected *disk.Expectation) {
	cmd.Flags().StringVar(&expected.Root, "root", config.DataRoot, "`folder` under which data disks are mounted")
	cmd.Flags().StringVar(&expected.Disk, "disk", "", "`name` of the disk")
	cmd.Flags().StringVar(&expected.Cluster, "cluster", "", "`name` of the cluster the disk must belong to")
	needs(cmd, "disk", "cluster")
}

func watch(a *app, expected disk.Expectation) *disk.Watch {
	return disk.NewWatch(expected, a.log)
}
