package main

import (
	"github.com/spf13/cobra"

	"github.com/tmorin/homecloud/internal/config"
)

func newSchemaCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the cluster file",
		Long: `schema prints the JSON Schema (draft 2020-12) of the cluster file. Editors
complete and check with it: write it to a file, and name that file in the first
line of the cluster file:

  # yaml-language-server: $schema=homecloud.schema.json

The schema knows the shape of each field; rules between fields are checked by
hcchart validate.`,
		Example: `  hcchart schema > homecloud.schema.json`,
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := a.out.Write(config.Schema())
			return err
		},
	}
}
