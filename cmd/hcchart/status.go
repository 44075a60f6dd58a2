package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tmorin/homecloud/internal/kube"
)

// ours selects the pods of all our charts.
const ours = "app.kubernetes.io/part-of=homecloud"

func newStatusCommand(a *app) *cobra.Command {
	var target clusterFlags
	var output string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what runs on which board, and what isn't as it should be",
		Long: `status lists the containers of the cloud by board, whether they are ready, how
often they were restarted, and what isn't as it should be: why a disk's gate is
closed, why a share isn't sent, why an image can't be pulled. It reads the
cluster, not the cluster file.

The exit code is 2 when something isn't as it should be.`,
		Example: `  hcchart status
  watch hcchart status
  hcchart status -o json | jq -r '.[] | select(.problems != []) | .problems[]'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			format, err := parseOutput(output)
			if err != nil {
				return err
			}
			cluster, err := target.connect()
			if err != nil {
				return err
			}
			if _, err := cluster.Version(cmd.Context()); err != nil {
				return err
			}
			containers, err := cluster.Containers(cmd.Context(), ours)
			if err != nil {
				return err
			}
			if len(containers) == 0 {
				return errors.New("nothing of homecloud runs on this cluster; install it: hcchart up")
			}
			err = format.print(a.out, containers, func(table *tableWriter) {
				table.row("BOARD", "POD", "CONTAINER", "READY", "RESTARTS", "PROBLEMS")
				for _, c := range containers {
					table.row(c.Node, c.Pod, cmp.Or(c.Name, "-"), yesNo(c.Ready), fmt.Sprint(c.Restarts), cmp.Or(strings.Join(c.Problems, "; "), "-"))
				}
			})
			if err == nil && slices.ContainsFunc(containers, func(c kube.Container) bool { return !c.Ready || len(c.Problems) > 0 }) {
				return errDifferences
			}
			return err
		},
	}
	target.addTo(cmd.Flags())
	addOutputFlag(cmd.Flags(), &output)
	return cmd
}

func yesNo(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}
