package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/deploy"
	"github.com/tmorin/homecloud/internal/term"
)

func newDownCommand(a *app) *cobra.Command {
	var target releaseFlags
	var yes bool
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Take the cloud out of the cluster, and keep its data",
		Long: `down uninstalls the services, then the platform, and waits until their pods have
ended. Everything that holds data stays: the files on the boards' disks, what
Syncthing and NFS remember, the Secrets and the namespaces. ` + "`hcchart up`" + ` brings
the same cloud back.

On a terminal it asks for the cluster's name; elsewhere it needs --yes.`,
		Example: `  hcchart down
  hcchart down --yes`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cluster, err := config.LoadFrom(a.file, a.in)
			if err != nil {
				return err
			}
			connection, err := target.connect()
			if err != nil {
				return err
			}
			if !yes {
				if err := confirm(a, cluster.Name); err != nil {
					return err
				}
			}
			down := deploy.Down{Cloud: cluster.Name, Kube: connection, Timeout: target.timeout, Steps: term.NewSteps(a.err)}
			removed, err := down.Run(cmd.Context())
			if err != nil {
				return err
			}
			if !removed {
				fmt.Fprintln(a.err, "nothing to do: the cloud isn't installed")
			}
			fmt.Fprintf(a.err, `What stays:
  files      on the boards, in %s
  state      on the boards, in %s
  Secrets    in the namespace %s
To remove the Secrets too: kubectl delete namespace %s %s
`, config.DataRoot, config.StateRoot, config.Release, config.Release, config.PlatformRelease)
			return nil
		},
	}
	target.addTo(cmd.Flags())
	cmd.Flags().BoolVar(&yes, "yes", false, "don't ask")
	return cmd
}

// confirm asks a person to type the name of what goes away.
func confirm(a *app, name string) error {
	line, err := ask(a, "this takes the cloud out of the cluster", fmt.Sprintf("This takes the cloud %q out of the cluster; its data stays. Its name: ", name))
	if err == nil && line != name {
		err = fmt.Errorf("%q isn't the name of this cloud; nothing was done", line)
	}
	return err
}

// ask asks a person for a line. Where there is none to ask, it says what is
// about to happen, and what allows it.
func ask(a *app, about, question string) (string, error) {
	if a.file == "-" || a.keyboard == nil || !term.IsTerminal(a.err) {
		return "", usageError{errors.New(about + ": say --yes")}
	}
	fmt.Fprint(a.err, question)
	line, err := bufio.NewReader(a.in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the answer: %w", err)
	}
	return strings.TrimSpace(line), nil
}
