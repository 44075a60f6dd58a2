package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/tmorin/homecloud/internal/gate"
)

func newProbeCommand(a *app) *cobra.Command {
	return group("probe", "Answer Kubernetes' probes", newProbeGateCommand(a))
}

func newProbeGateCommand(_ *app) *cobra.Command {
	var status string
	cmd := &cobra.Command{
		Use:     "gate",
		Short:   "Is the gate open?",
		Example: "  homecloud-agent probe gate --status /run/gate/smbd.json",
		Args:    arguments(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			s, err := gate.ReadStatus(status)
			if err != nil {
				return err
			}
			if !s.Open {
				return errors.New("closed: " + s.Reason)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&status, "status", "", "status `file` of the gate")
	require(cmd, "status")
	return cmd
}
