package main

import (
	"cmp"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/deploy"
	"github.com/tmorin/homecloud/internal/term"
)

// upFlags are those of commands that make the cluster what the file says.
type upFlags struct {
	charts chartFlags
	target releaseFlags
	// takeOver also changes what Flux or Argo CD keeps.
	takeOver bool
}

func (f *upFlags) addTo(cmd *cobra.Command) {
	f.charts.addCharts(cmd)
	f.charts.addValues(cmd)
	f.target.addTo(cmd.Flags())
	cmd.Flags().BoolVar(&f.takeOver, "take-over", false, "also change a cloud that Flux or Argo CD keeps; stop them first")
}

// prepare reads everything and connects; nothing is asked or changed yet.
func (f *upFlags) prepare(a *app) (*deploy.Up, error) {
	if err := f.charts.check(a); err != nil {
		return nil, err
	}
	cluster, err := config.LoadFrom(a.file, a.in)
	if err != nil {
		return nil, err
	}
	for _, warning := range cluster.Warnings {
		fmt.Fprintf(a.err, "warning: %s\n", warning)
	}
	overlay, err := f.charts.overlay(a, map[string]any{})
	if err != nil {
		return nil, err
	}
	connection, err := f.target.connect()
	if err != nil {
		return nil, err
	}
	return &deploy.Up{
		Cluster: cluster, SecretsPath: config.SecretsPath(a.file), Library: f.charts.library(), Overlay: overlay,
		Kube: connection, Timeout: f.target.timeout, TakeOver: f.takeOver, Steps: term.NewSteps(a.err),
	}, nil
}

func newUpCommand(a *app) *cobra.Command {
	var flags upFlags
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Make the cluster what the cluster file says",
		Long: `up goes the whole way: it checks the file and the boards, completes the secrets
file, prepares the namespaces and Secrets, installs or upgrades the platform and
the services, waits until they are usable, and prints their addresses.

Doing it again changes nothing. A release that an interrupted run left behind is
taken over: what is there stays and is completed. Data is never deleted; a
person that the file doesn't name any more loses the password in the cluster, a
board its place among the peers. The board's identity, a Secret of its own,
stays: it is the same device when it comes back.

Another dnas.owner or dnas.disk than the installed cloud's is refused: what lies
on the boards doesn't follow by itself. hcchart upgrade does it on purpose. So is
a cloud that Flux or Argo CD keeps: they would take back what up does. Change
their Git repository with hcchart gitops, or stop them and give --take-over.

--dry-run changes nothing and prints what would change; the exit code is 2 when
something would, and 0 when nothing would.`,
		Example: `  hcchart up
  hcchart up --dry-run
  hcchart up --values my-values.yaml --timeout 20m
  hcchart up --kubeconfig k3s.yaml --context home`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			up, err := flags.prepare(a)
			if err != nil {
				return err
			}
			up.DryRun = dryRun
			changes, err := up.Run(cmd.Context())
			if err != nil {
				return err
			}
			if dryRun {
				return tellForeseen(a, changes)
			}
			if len(changes) == 0 {
				fmt.Fprintln(a.err, "nothing to change: what is installed is what the file says")
			}
			return printAddresses(a, up.Cluster)
		},
	}
	flags.addTo(cmd)
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only print what would change")
	return cmd
}

// tellForeseen prints what a dry run found; differences have their own exit
// code.
func tellForeseen(a *app, changes []string) error {
	if len(changes) == 0 {
		fmt.Fprintln(a.err, "nothing would change")
		return nil
	}
	if _, err := fmt.Fprintln(a.out, strings.Join(changes, "\n")); err != nil {
		return err
	}
	return errDifferences
}

func printAddresses(a *app, cluster *config.Cluster) error {
	table := tabwriter.NewWriter(a.out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "SHARE\tSMB\tNFS")
	for _, address := range deploy.Addresses(cluster) {
		fmt.Fprintf(table, "%s\t%s\t%s\n", address.Share, cmp.Or(address.SMB, "-"), cmp.Or(address.NFS, "-"))
	}
	return table.Flush()
}
