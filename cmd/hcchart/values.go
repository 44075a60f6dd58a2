package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/values"
)

func newValuesCommand(a *app) *cobra.Command {
	var flags chartFlags
	var name, output string
	cmd := &cobra.Command{
		Use:   "values",
		Short: "Print the Helm values that the cluster file means",
		Long: `values computes what each chart gets from the cluster file: only what differs
from the chart's defaults, in the order of its values.yaml, and no secret. The
same file gives the same bytes.

Without --chart it prints the values of the umbrella chart, whose top-level keys
are the names of the charts in it.`,
		Example: `  hcchart values
  hcchart values | helm install homecloud dist/homecloud-0.1.0.tgz --namespace homecloud --values -
  hcchart values --chart dnas -o json`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if output != "yaml" && output != "json" {
				return usageError{fmt.Errorf("--output %q: write yaml or json", output)}
			}
			if !slices.Contains(values.Charts(), name) {
				return usageError{fmt.Errorf("--chart %q: the cluster file has values for %s", name, strings.Join(values.Charts(), ", "))}
			}
			cluster, err := config.LoadFrom(a.file, a.in)
			if err != nil {
				return err
			}
			computed, err := flags.compute(cluster, name)
			if err != nil {
				return err
			}
			text := computed.YAML()
			if output == "json" {
				if text, err = computed.JSON(); err != nil {
					return err
				}
			}
			_, err = a.out.Write(text)
			return err
		},
	}
	cmd.Flags().StringVar(&name, "chart", values.ChartUmbrella, "`name` of the chart: homecloud, dnas or platform")
	cmd.Flags().StringVarP(&output, "output", "o", "yaml", "yaml or json")
	flags.addCharts(cmd)
	return cmd
}
