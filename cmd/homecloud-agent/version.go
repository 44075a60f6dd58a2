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
		Example: "  homecloud-agent version",
		Args:    arguments(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			_, err := io.WriteString(a.out, version.Line("homecloud-agent"))
			return err
		},
	}
}
