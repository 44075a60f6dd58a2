package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tmorin/homecloud/internal/config"
)

// verdict is the result of validate as data.
type verdict struct {
	File     string           `json:"file"`
	Valid    bool             `json:"valid"`
	Errors   []config.Finding `json:"errors"`
	Warnings []config.Finding `json:"warnings"`
}

func newValidateCommand(a *app) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "validate",
		Short: "Check the cluster file",
		Long: `validate checks the cluster file and the lock file beside it, and nothing else:
no board and no cluster is asked. Every error is reported in one run, each as

  FILE:LINE:COLUMN: path.to.field: what is wrong; what to write instead

Errors and warnings go to standard error; with -o json or yaml they are data on
standard output. A file with errors ends with exit code 1, warnings never fail.`,
		Example: `  hcchart validate
  hcchart validate -f cabin.yaml
  cat homecloud.yaml | hcchart validate -f -
  hcchart validate -o json | jq -r '.errors[].path'`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			format, err := parseOutput(output)
			if err != nil {
				return err
			}
			cluster, err := config.LoadFrom(a.file, a.in)
			var invalid *config.InvalidError
			result := verdict{File: config.FileName(a.file), Valid: err == nil, Errors: []config.Finding{}, Warnings: []config.Finding{}}
			switch {
			case err == nil:
				result.Warnings = append(result.Warnings, cluster.Warnings...)
			case errors.As(err, &invalid):
				result.Errors = append(result.Errors, invalid.Findings...)
				result.Warnings = append(result.Warnings, invalid.Warnings...)
			default:
				return err
			}
			if format != "table" {
				if err := format.print(a.out, result, nil); err != nil {
					return err
				}
				if invalid != nil {
					return fmt.Errorf("%s: %s", result.File, counted(len(result.Errors), "error"))
				}
				return nil
			}
			for _, warning := range result.Warnings {
				fmt.Fprintf(a.err, "warning: %s\n", warning)
			}
			if invalid != nil {
				return invalid
			}
			_, err = fmt.Fprintf(a.out, "%s is valid: cluster %s, %s, %s, %s\n", result.File, cluster.Name,
				counted(len(cluster.Nodes), "node"), counted(len(cluster.DNAS.Shares), "share"), counted(len(cluster.Users), "user"))
			return err
		},
	}
	addOutputFlag(cmd.Flags(), &output)
	return cmd
}

func counted(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
