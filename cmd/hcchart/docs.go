package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pmezard/go-difflib/difflib"
	"github.com/spf13/cobra"

	"github.com/tmorin/homecloud/internal/chart"
	"github.com/tmorin/homecloud/internal/values"
	"github.com/tmorin/homecloud/internal/valuesdoc"
)

// docsFlags are the flags of docs.
type docsFlags struct {
	chartFlags
	write, check, schema bool
}

func newDocsCommand(a *app) *cobra.Command {
	var flags docsFlags
	cmd := &cobra.Command{
		Use:   "docs [CHART...]",
		Short: "Write the reference of a chart's values",
		Long: `docs prints the reference of a chart's values in Markdown: each key with its
default, the comment above it in values.yaml, and what values.schema.json
allows. Comments may be plain, or marked for helm-docs ("# -- ") or in Bitnami's
way ("@param").

CHART is one of homecloud's charts, by default the umbrella, or anybody's, as a
folder or an archive. --write puts the reference into README.md of each folder,
below a line that marks it, and leaves what stands above; --check says whether
that would change anything, or a value has no comment or isn't in the schema,
with exit code 2. A chart without values needs no README.md.

--schema prints a schema for a chart that has none, from the defaults.`,
		Example: `  hcchart docs dnas
  hcchart docs --write ./charts/web
  hcchart docs --check ./charts/*
  hcchart docs --schema ./charts/web > charts/web/values.schema.json`,
		RunE: func(_ *cobra.Command, args []string) error { return flags.run(a, args) },
	}
	flags.addCharts(cmd)
	cmd.Flags().BoolVar(&flags.write, "write", false, "put the reference into README.md of each chart's folder")
	cmd.Flags().BoolVar(&flags.check, "check", false, "say whether README.md says what the values file says")
	cmd.Flags().BoolVar(&flags.schema, "schema", false, "print a schema made from the defaults")
	return cmd
}

func (f *docsFlags) run(a *app, args []string) error {
	switch {
	case f.write && f.check, f.schema && (f.write || f.check):
		return usageError{errors.New("--write, --check and --schema can't go together")}
	case (f.write || f.check) && len(args) == 0:
		return usageError{errors.New("name the folders of the charts whose README.md is meant")}
	case !f.write && !f.check && len(args) > 1:
		return usageError{errors.New("only --write and --check take several charts")}
	case len(args) == 0:
		args = []string{values.ChartUmbrella}
	}
	if !f.write && !f.check {
		return f.print(a, args[0])
	}
	var errs []error
	stale := false
	for _, folder := range args {
		fresh, err := f.readme(a, folder)
		errs = append(errs, err)
		stale = stale || err == nil && !fresh
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if stale {
		return errDifferences
	}
	return nil
}

func (f *docsFlags) print(a *app, name string) error {
	c, err := f.load(name)
	if err != nil {
		return err
	}
	var text []byte
	if f.schema {
		text, err = valuesdoc.Schema("Values of the chart "+c.Name, c.DefaultValues())
	} else {
		var reference string
		reference, err = valuesdoc.Reference(c.DefaultValues(), c.Schema())
		text = []byte(reference)
	}
	if err != nil {
		return fmt.Errorf("chart %s: %w", c.Name, err)
	}
	_, err = a.out.Write(text)
	return err
}

// generated divides a README: what stands above is written by hand.
const generated = "<!-- Below: generated from values.yaml by `hcchart docs --write`. -->\n"

// readme compares README.md of a chart's folder with the reference, or writes
// it. fresh says that nothing is left to do.
func (f *docsFlags) readme(a *app, folder string) (fresh bool, err error) {
	if info, err := os.Stat(folder); err != nil {
		return false, err
	} else if !info.IsDir() {
		return false, fmt.Errorf("%s: is no folder; README.md is written beside Chart.yaml", folder)
	}
	c, err := chart.Load(folder)
	if err != nil {
		return false, err
	}
	reference, err := valuesdoc.Reference(c.DefaultValues(), c.Schema())
	if err != nil {
		return false, fmt.Errorf("chart %s: %w", c.Name, err)
	}
	gaps, err := valuesdoc.Gaps(c.DefaultValues(), c.Schema())
	if err != nil {
		return false, fmt.Errorf("chart %s: %w", c.Name, err)
	}
	name := filepath.Join(folder, "README.md")
	is, err := os.ReadFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		is = nil
	case err != nil:
		return false, err
	}
	if is == nil && reference == valuesdoc.Empty {
		return true, nil // a library, say: nothing to write down
	}
	above, _, marked := bytes.Cut(is, []byte(generated))
	switch {
	case len(is) == 0:
		above = []byte("# " + c.Name + "\n\n" + c.Description() + "\n\n")
	case !marked:
		return false, fmt.Errorf("%s: has no line that says where the reference begins; add this one, everything below it is replaced: %s", name, bytes.TrimSpace([]byte(generated)))
	}
	wanted := bytes.Join([][]byte{above, []byte(generated), []byte("\n" + reference)}, nil)
	if f.write {
		for _, gap := range gaps {
			fmt.Fprintf(a.err, "%s: %s\n", folder, gap)
		}
		if bytes.Equal(is, wanted) {
			return true, nil
		}
		return true, replaceFile(name, wanted)
	}
	for _, gap := range gaps {
		fmt.Fprintf(a.out, "%s: %s\n", folder, gap)
	}
	if bytes.Equal(is, wanted) {
		return gaps == nil, nil
	}
	diff, err := difflib.GetUnifiedDiffString(difflib.UnifiedDiff{
		A: difflib.SplitLines(string(is)), B: difflib.SplitLines(string(wanted)), FromFile: name, ToFile: "what values.yaml says", Context: 1,
	})
	if err != nil {
		return false, err
	}
	fmt.Fprint(a.out, diff)
	return false, nil
}
