package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tmorin/homecloud/internal/chart"
	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/values"
)

func newRenderCommand(a *app) *cobra.Command {
	var flags chartFlags
	var options chart.RenderOptions
	cmd := &cobra.Command{
		Use:   "render [CHART]",
		Short: "Render a chart without a cluster",
		Long: `render prints the Kubernetes objects of a chart, as Helm would install them;
hooks come last and are marked. Nothing is asked from a cluster, and the same
input gives the same bytes.

CHART is the name of one of homecloud's charts, by default the umbrella, which
gets its values from the cluster file; or a chart of anybody's, as a folder or
an archive (write ./NAME for a folder here), which gets --values alone.

A dependency that isn't downloaded is left out with a warning, and is an error
when the values enable it.`,
		Example: `  hcchart render
  hcchart render dnas | kubectl diff -f -
  hcchart render ./charts/platform --values my-values.yaml
  hcchart render dist/homecloud-0.1.0.tgz --kube-version 1.31.0`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := values.ChartUmbrella
			if len(args) == 1 {
				name = args[0]
			}
			if err := errors.Join(flags.check(a), checkNames(options.Release, options.Namespace)); err != nil {
				return err
			}
			if !chart.IsKubeVersion(options.KubeVersion) {
				return usageError{fmt.Errorf("--kube-version %q: write one such as %s", options.KubeVersion, chart.KubeVersion)}
			}
			c, given, err := chartAndValues(a, &flags, name)
			if err != nil {
				return err
			}
			if options.Values, err = flags.overlay(a, given); err != nil {
				return err
			}
			rendered, err := c.Render(options)
			if err != nil {
				return err
			}
			warnMissing(a, c)
			_, err = a.out.Write(rendered.YAML())
			return err
		},
	}
	flags.addCharts(cmd)
	flags.addValues(cmd)
	cmd.Flags().StringVar(&options.Release, "release", config.Release, "`name` of the release")
	cmd.Flags().StringVar(&options.Namespace, "namespace", config.Release, "`name` of the namespace")
	cmd.Flags().StringVar(&options.KubeVersion, "kube-version", chart.KubeVersion, "Kubernetes `version` to render for")
	cmd.Flags().BoolVar(&options.IncludeCRDs, "include-crds", false, "also print the definitions in crds/ folders")
	return cmd
}

// chartAndValues finds a chart of ours with its values from the cluster file,
// or somebody's chart, which has none.
func chartAndValues(a *app, flags *chartFlags, name string) (*chart.Chart, map[string]any, error) {
	c, err := flags.load(name)
	if err != nil {
		return nil, nil, err
	}
	if !isOurs(name) {
		return c, map[string]any{}, nil
	}
	cluster, err := a.cluster()
	if err != nil {
		return nil, nil, err
	}
	computed, err := flags.compute(cluster, name)
	if err != nil {
		return nil, nil, err
	}
	return c, computed.Map(), nil
}
