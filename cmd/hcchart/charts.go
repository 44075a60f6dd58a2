package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tmorin/homecloud/charts"
	"github.com/tmorin/homecloud/internal/chart"
	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/values"
)

// chartFlags are the flags of commands that work with charts.
type chartFlags struct {
	directory string   // --charts
	files     []string // --values
}

func (f *chartFlags) addCharts(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.directory, "charts", "", "`folder` of charts to use instead of the built-in ones")
}

func (f *chartFlags) addValues(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.files, "values", nil, "values `file` that goes on top, - for standard input; may be repeated, the last wins")
}

// library is where charts come from.
func (f *chartFlags) library() chart.Library {
	if f.directory != "" {
		return chart.Directory(f.directory)
	}
	return chart.Embedded(charts.FS)
}

// load finds a chart of ours by its name, or anybody's by its folder or archive.
func (f *chartFlags) load(name string) (*chart.Chart, error) {
	if isOurs(name) {
		return f.library().Load(name)
	}
	if _, err := os.Stat(name); err != nil {
		return nil, err
	}
	return chart.Load(name)
}

// isOurs says whether a chart is one of homecloud's, by how it is named.
func isOurs(name string) bool {
	return !strings.ContainsAny(name, `/\`) && !strings.HasSuffix(name, ".tgz") && name != "."
}

// defaults reads the charts' own values.
func (f *chartFlags) defaults() (values.Defaults, error) {
	defaults := values.Defaults{}
	for _, name := range values.Charts() {
		c, err := f.library().Load(name)
		if err != nil {
			return nil, err
		}
		defaults[name] = c.DefaultValues()
	}
	return defaults, nil
}

// compute gives the values of a chart from the cluster file.
func (f *chartFlags) compute(cluster *config.Cluster, name string) (*values.Values, error) {
	defaults, err := f.defaults()
	if err != nil {
		return nil, err
	}
	return values.Chart(cluster, name, defaults)
}

// check refuses flags that can't go together, before anything is read.
func (f *chartFlags) check(a *app) error {
	if slices.Contains(f.files, "") {
		return usageError{errors.New("--values is empty; name a file, or - for standard input")}
	}
	if a.file == "-" && slices.Contains(f.files, "-") {
		return usageError{errors.New("--file and --values both read standard input; give one of them a name")}
	}
	return nil
}

// overlay reads the values files and puts them on top, in their order.
func (f *chartFlags) overlay(a *app, base map[string]any) (map[string]any, error) {
	for _, name := range f.files {
		text, err := readInput(a, name)
		if err != nil {
			return nil, err
		}
		over, err := values.Read(name, text)
		if err != nil {
			return nil, err
		}
		base = values.Merge(base, over)
	}
	return base, nil
}

// valuesSize is what Kubernetes lets Helm keep of a whole release.
const valuesSize = 1 << 20

func readInput(a *app, name string) ([]byte, error) {
	in := a.in
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("--values: %w", err)
		}
		defer file.Close()
		in = file
	}
	text, err := io.ReadAll(io.LimitReader(in, valuesSize+1))
	if err != nil {
		return nil, fmt.Errorf("--values %s: %w", name, err)
	}
	if len(text) > valuesSize {
		return nil, fmt.Errorf("--values %s: larger than the %d bytes that Helm can keep; is it the right file?", name, valuesSize)
	}
	return text, nil
}

// warnMissing tells which dependencies the chart was used without.
func warnMissing(a *app, c *chart.Chart) {
	if len(c.Missing) == 0 {
		return
	}
	var names []string
	for _, missing := range c.Missing {
		names = append(names, missing.String())
	}
	fmt.Fprintf(a.err, "warning: left out, because they aren't downloaded: %s\n", strings.Join(names, ", "))
}
