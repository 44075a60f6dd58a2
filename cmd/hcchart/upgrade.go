package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tmorin/homecloud/internal/deploy"
	"github.com/tmorin/homecloud/internal/diff"
)

func newUpgradeCommand(a *app) *cobra.Command {
	var flags upFlags
	var yes bool
	var accepted []string
	cmd := &cobra.Command{
		Use:   "upgrade",
		Short: "Say what changes and what that means, ask, then do what up does",
		Long: `upgrade asks the cluster what would change (see "hcchart diff"), prints it, and
goes the way of "hcchart up" when you agree.

A change that moves or drops data is refused, and nothing else is done either:
read why, make a backup, and name the object with --accept to do it on purpose.
Another owner or disk of the shares is such a change: the files on the boards
don't follow by themselves, so give them to the owner, or prepare the disks,
first. So is a share that the file no longer names, or names otherwise: nobody
finds what is in it any more. A cloud that Flux or Argo CD keeps is refused as by
up.`,
		Example: `  hcchart upgrade
  hcchart upgrade --yes
  hcchart upgrade --accept 'PersistentVolumeClaim cache'
  hcchart upgrade --accept 'Share attic'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			up, err := flags.prepare(a)
			if err != nil {
				return err
			}
			if err := up.NotKept(cmd.Context()); err != nil {
				return err
			}
			changes, err := up.Diff(cmd.Context())
			if err != nil {
				return err
			}
			printChanges(a.err, changes)
			if err := refuse(changes, accepted); err != nil {
				return err
			}
			up.MoveData = slices.ContainsFunc(changes, func(c diff.Change) bool { return c.Effect == diff.Data && c.Kind != deploy.KindShare })
			if len(changes) > 0 && !yes {
				answer, err := ask(a, "this changes the cloud", "Go on? [y/N] ")
				if err != nil {
					return err
				}
				if answer = strings.ToLower(answer); answer != "y" && answer != "yes" {
					return errors.New("nothing was changed")
				}
			}
			done, err := up.Run(cmd.Context())
			if err != nil {
				return err
			}
			if len(done) == 0 {
				fmt.Fprintln(a.err, "nothing to change: what is installed is what the file says")
			}
			return printAddresses(a, up.Cluster)
		},
	}
	flags.addTo(cmd)
	cmd.Flags().BoolVar(&yes, "yes", false, "don't ask")
	cmd.Flags().StringArrayVar(&accepted, "accept", nil, "`object`, such as 'PersistentVolumeClaim cache' or 'Share attic', whose data may be moved or dropped; may be repeated")
	return cmd
}

// refuse wants every change that moves or drops data to be named.
func refuse(changes []diff.Change, accepted []string) error {
	var open []string
	for _, c := range changes {
		if c.Effect == diff.Data && !slices.Contains(accepted, c.String()) {
			open = append(open, fmt.Sprintf("%s: %s; to do it on purpose: --accept %q", c, strings.Join(c.Why, "; "), c.String()))
		}
	}
	if open == nil {
		return nil
	}
	return fmt.Errorf("nothing was changed, because data would be moved or dropped\n%s", strings.Join(open, "\n"))
}
