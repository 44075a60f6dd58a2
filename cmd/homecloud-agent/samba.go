package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"github.com/spf13/cobra"

	"github.com/tmorin/homecloud/internal/samba"
)

// sambaPatience bounds each of Samba's programs.
const sambaPatience = 10 * time.Second

func newSambaCommand(*app) *cobra.Command {
	var configuration string
	reload := &cobra.Command{
		Use:   "reload",
		Short: "Make a running smbd follow its configuration",
		Long: `reload makes smbd and its connections read the configuration again and closes
the connections to shares that somebody may no longer use. Others go on.
It runs beside smbd, as the same account.`,
		Example: "  homecloud-agent samba reload --config /etc/homecloud/samba/smb.conf",
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return samba.Reload(configuration, func(program string, arguments ...string) ([]byte, error) {
				ctx, cancel := context.WithTimeout(cmd.Context(), sambaPatience)
				defer cancel()
				output, err := exec.CommandContext(ctx, program, arguments...).Output()
				var exit *exec.ExitError
				if errors.As(err, &exit) {
					return output, fmt.Errorf("samba: %s: %w: %s", program, err, exit.Stderr)
				}
				if err != nil {
					return output, fmt.Errorf("samba: %w", err)
				}
				return output, nil
			})
		},
	}
	reload.Flags().StringVar(&configuration, "config", "", "`file`: smb.conf")
	needs(reload, "config")
	return group("samba", "Speak to a running Samba", reload)
}
