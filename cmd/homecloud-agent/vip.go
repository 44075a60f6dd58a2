package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/tmorin/homecloud/internal/vip"
)

func newVIPCommand(a *app) *cobra.Command {
	return group("vip", "Help keepalived to hold the virtual address", newVIPRunCommand(a), newVIPHealthCommand(a))
}

func newVIPRunCommand(a *app) *cobra.Command {
	var address, onInterface string
	cmd := &cobra.Command{
		Use:   "run --address ADDRESS [flags] -- COMMAND [ARG...]",
		Short: "Remove an address that was left behind, then become keepalived",
		Long: `run removes the virtual address from this node, because a keepalived that was
killed leaves it behind and two nodes would answer, and then becomes COMMAND.
It needs the capability NET_ADMIN.`,
		Example: `  homecloud-agent vip run --interface eth0 --address 10.77.0.50/32 -- keepalived --dont-fork --vrrp`,
		Args:    arguments(cobra.MinimumNArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			parsed, err := parseAddress(address)
			if err != nil {
				return err
			}
			program, err := exec.LookPath(args[0])
			if err != nil {
				return fmt.Errorf("vip: %w", err)
			}
			from, err := vip.RemoveStale(parsed, onInterface)
			for _, name := range from {
				a.log.Warn("an address that was left behind is removed", "address", parsed, "interface", name)
			}
			if err != nil {
				return err
			}
			return fmt.Errorf("vip: %s: %w", program, syscall.Exec(program, args, os.Environ()))
		},
	}
	cmd.Flags().SetInterspersed(false)
	cmd.Flags().StringVar(&address, "address", "", "the virtual `address`, with or without its prefix length")
	cmd.Flags().StringVar(&onInterface, "interface", "", "`name` of the interface to look at; default: all of them")
	needs(cmd, "address")
	return cmd
}

func parseAddress(text string) (netip.Addr, error) {
	if prefix, err := netip.ParsePrefix(text); err == nil {
		return prefix.Addr(), nil
	}
	address, err := netip.ParseAddr(text)
	if err != nil {
		return address, usageError{fmt.Errorf("--address %q: write an address, as in 10.77.0.50/32", text)}
	}
	return address, nil
}

func newVIPHealthCommand(a *app) *cobra.Command {
	health := vip.Health{}
	var checks []string
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Write down which services are healthy, for keepalived's track_file",
		Long: `health tries every check each second and keeps DIR/NAME: 0 when the service
answers, 1 when it doesn't (twice in a row). A file is 1 until its service has
answered. The files are replaced in one step.`,
		Example: `  homecloud-agent vip health --dir /run/homecloud/vip --check smb=tcp:127.0.0.1:445 --check nfs=tcp:127.0.0.1:2049`,
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var problems []error
			for _, text := range checks {
				check, err := vip.ParseCheck(text)
				if err != nil {
					problems = append(problems, fmt.Errorf("--check %w", err))
				}
				health.Checks = append(health.Checks, check)
			}
			if err := errors.Join(problems...); err != nil {
				return usageError{err}
			}
			health.Log = a.log
			return health.Run(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&health.Dir, "dir", "", "`folder` of the files")
	cmd.Flags().StringArrayVar(&checks, "check", nil, "`NAME=tcp:HOST:PORT`; may be repeated")
	needs(cmd, "dir", "check")
	return cmd
}
