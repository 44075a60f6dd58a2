package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/pflag"
	"sigs.k8s.io/yaml"
)

// outputFormat is what -o chooses for a result that is data.
type outputFormat string

func addOutputFlag(flags *pflag.FlagSet, output *string) {
	flags.StringVarP(output, "output", "o", "table", "table, yaml or json")
}

func parseOutput(text string) (outputFormat, error) {
	switch text {
	case "table", "yaml", "json":
		return outputFormat(text), nil
	}
	return "", usageError{fmt.Errorf("--output %q: write table, yaml or json", text)}
}

// print writes the data, as a table by the function given.
func (f outputFormat) print(w io.Writer, data any, table func(*tableWriter)) error {
	switch f {
	case "json":
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(data)
	case "yaml":
		text, err := yaml.Marshal(data)
		if err != nil {
			return err
		}
		_, err = w.Write(text)
		return err
	}
	rows := &tableWriter{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
	table(rows)
	return rows.Flush()
}

// tableWriter aligns columns.
type tableWriter struct{ *tabwriter.Writer }

func (t *tableWriter) row(cells ...string) { fmt.Fprintln(t, strings.Join(cells, "\t")) }
