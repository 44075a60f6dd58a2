package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/tmorin/homecloud/internal/samba"
)

// sambaPatience bounds each of Samba's programs.
const sambaPatience = 10 * time.Second

func newSambaCommand(*app) *cobra.Command {
	var r samba.Reloading
	var folder string
	reload := &cobra.Command{
		Use:   "reload",
		Short: "Make a running smbd follow its configuration",
		Long: `reload makes smbd and its connections read the configuration again and closes
the connections of those who may do less with a share than before. Others go on.
It runs beside smbd, as the same account.`,
		Example: "  homecloud-agent samba reload --config /etc/homecloud/samba/smb.conf --run /run/samba",
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r.Applied, r.PIDFile = filepath.Join(folder, "applied.conf"), filepath.Join(folder, "pid", "smbd.pid")
			r.Run = func(program string, arguments ...string) ([]byte, error) {
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
			}
			return r.Reload()
		},
	}
	reload.Flags().StringVar(&r.Configuration, "config", "", "`file`: smb.conf")
	reload.Flags().StringVar(&folder, "run", "/run/samba", "`folder` where smbd keeps pid/smbd.pid, and we what was applied last")
	needs(reload, "config")
	return group("samba", "Speak to a running Samba", reload)
}
