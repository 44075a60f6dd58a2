package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/picture"
)

func newDiagramCommand(a *app) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "diagram",
		Short: "Draw the cloud of the cluster file",
		Long: `diagram draws what the cluster file says, as SVG: the home's network with its
boards, disks and addresses, the shares and the doors that they are open by, the
devices outside and in which direction they synchronise, and the services. It
asks neither boards nor cluster, and the same file gives the same bytes.

The picture needs nothing from elsewhere, follows a reader's light or dark
scheme, and says in words what it shows. It holds names and addresses of the
home: look before you publish it.`,
		Example: `  hcchart diagram --out cloud.svg
  hcchart diagram -f cabin.yaml > cabin.svg`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			cluster, err := config.LoadFrom(a.file, a.in)
			if err != nil {
				return err
			}
			drawn := picture.Cluster(cluster)
			if out == "" || out == "-" {
				_, err := a.out.Write(drawn)
				return err
			}
			if err := replaceFile(out, drawn); err != nil {
				return fmt.Errorf("--out: %w", err)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "`file` to write, replacing what is there (default: standard output)")
	return cmd
}
