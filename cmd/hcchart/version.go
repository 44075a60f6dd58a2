package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/tmorin/homecloud/internal/version"
)

func newVersionCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  hcchart version",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := io.WriteString(a.out, version.Line("hcchart"))
			return err
		},
	}
}
