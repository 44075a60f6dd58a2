package main

import (
	"github.com/spf13/cobra"

	"github.com/tmorin/homecloud/internal/accounts"
)

func newAccountsCommand(a *app) *cobra.Command {
	var keeper accounts.Keeper
	var follow bool
	cmd := &cobra.Command{
		Use:   "accounts",
		Short: "Write the account files of Samba and of the name service",
		Long: `accounts writes OUT/passwd and OUT/group (in the form that libnss-extrausers
reads in /var/lib/extrausers) and OUT/smbpasswd with the NT hashes, mode 0600,
from a mounted Secret that holds a password per user. A user without a password
is disabled, and said so. The owner of the files is the account "` + accounts.OwnerName + `".

It runs as the user who runs smbd: root.`,
		Example: `  homecloud-agent accounts --config /etc/homecloud/accounts.json --users /etc/homecloud/users --out /var/lib/extrausers --watch`,
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			keeper.Log = a.log
			if follow {
				return keeper.Follow(cmd.Context())
			}
			return keeper.Write()
		},
	}
	cmd.Flags().StringVar(&keeper.Config, "config", "/etc/homecloud/accounts.json", "`file` that names the owner and the users")
	cmd.Flags().StringVar(&keeper.Users, "users", "", "`folder` of the mounted Secret")
	cmd.Flags().StringVar(&keeper.Out, "out", "/var/lib/extrausers", "`folder` to write to")
	cmd.Flags().BoolVar(&follow, "watch", false, "keep following changes")
	needs(cmd, "users")
	return cmd
}
