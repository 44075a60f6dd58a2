package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tmorin/homecloud/internal/gate"
	"github.com/tmorin/homecloud/internal/nfs"
	"github.com/tmorin/homecloud/internal/syncthing"
	"github.com/tmorin/homecloud/internal/vip"
)

// probeTimeout lets a probe tell what is wrong before the kubelet kills it:
// the charts give five seconds.
const probeTimeout = 4 * time.Second

func newProbeCommand(a *app) *cobra.Command {
	return group("probe", "Answer Kubernetes' probes",
		newProbeGateCommand(a), newProbeTCPCommand(a), newProbeNFSCommand(a), newProbeSyncthingCommand(a))
}

func newProbeGateCommand(*app) *cobra.Command {
	var status string
	cmd := &cobra.Command{
		Use:     "gate",
		Short:   "Is the gate open?",
		Example: "  homecloud-agent probe gate --status /run/homecloud/samba.json",
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
	needs(cmd, "status")
	return cmd
}

func newProbeTCPCommand(*app) *cobra.Command {
	return &cobra.Command{
		Use:     "tcp ADDRESS",
		Short:   "Does something accept connections?",
		Example: "  homecloud-agent probe tcp 127.0.0.1:445",
		Args:    arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return vip.Answers(cmd.Context(), args[0], probeTimeout)
		},
	}
}

func newProbeNFSCommand(*app) *cobra.Command {
	var address, configuration string
	cmd := &cobra.Command{
		Use:   "nfs",
		Short: "Does the server export something?",
		Long: `nfs looks the exports of a configuration up with NFSv4.0, as a client would: a
server that lost its exports still accepts connections. One that answers is
enough. The address this asks from must be one of the exports' clients.`,
		Example: "  homecloud-agent probe nfs --address 127.0.0.1:2049 --config /etc/homecloud/nfs/ganesha.conf",
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), probeTimeout)
			defer cancel()
			exports, err := nfs.Exports(configuration)
			if err != nil {
				return err
			}
			var failed []error
			for _, export := range exports {
				err := nfs.Lookup(ctx, address, export)
				if err == nil {
					return nil
				}
				failed = append(failed, err)
			}
			return errors.Join(failed...)
		},
	}
	cmd.Flags().StringVar(&address, "address", "127.0.0.1:2049", "`host:port` of the server")
	cmd.Flags().StringVar(&configuration, "config", "", "`file`: Ganesha's configuration")
	needs(cmd, "config")
	return cmd
}

func newProbeSyncthingCommand(*app) *cobra.Command {
	var socket, keyFile string
	cmd := &cobra.Command{
		Use:     "syncthing",
		Short:   "Does Syncthing answer?",
		Example: "  homecloud-agent probe syncthing --socket /run/homecloud/gui.sock --key-file /etc/homecloud/peers/apiKey",
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			key, err := os.ReadFile(keyFile)
			if err != nil {
				return fmt.Errorf("syncthing: %w", err)
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), probeTimeout)
			defer cancel()
			return syncthing.Ready(ctx, socket, strings.TrimSpace(string(key)))
		},
	}
	cmd.Flags().StringVar(&socket, "socket", "", "Unix `socket` of the REST interface")
	cmd.Flags().StringVar(&keyFile, "key-file", "", "`file` that holds the API key")
	needs(cmd, "socket", "key-file")
	return cmd
}
