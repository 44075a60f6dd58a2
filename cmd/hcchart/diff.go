package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/pmezard/go-difflib/difflib"
	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/tmorin/homecloud/internal/chart"
	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/deploy"
	"github.com/tmorin/homecloud/internal/diff"
	"github.com/tmorin/homecloud/internal/term"
	"github.com/tmorin/homecloud/internal/values"
)

// diffFlags are the flags of diff.
type diffFlags struct {
	chartFlags
	clusterFlags
	options chart.RenderOptions
	before  string
	output  string
}

func newDiffCommand(a *app) *cobra.Command {
	var flags diffFlags
	cmd := &cobra.Command{
		Use:   "diff [CHART]",
		Short: "What an upgrade would change, and what that means",
		Long: `diff asks the cluster what "hcchart up" would change in each object, without
changing anything; what somebody changed by hand shows, too. With --before it
asks no cluster: it compares what is rendered with an earlier output of
"hcchart render", of the same CHART.

Images that change are named first: a values file that was given to "up" has to
be given again, here and there. Then what changes is grouped by what it means:
harmless, what restarts pods, what takes access away, and what moves or drops
data. Shares, people and boards that the file no longer names are among it, except
with --before.

Values of Secrets, of fields, variables and flags with a secret's name, wherever
they stand, and inside of texts also passwords of URLs and private keys, appear as
a hash with a key that ends with the run: that they change can be seen, what they
are can't. A secret in a text that nothing names as one is shown: it belongs into
a Secret.

Secrets and namespaces, which "up" prepares before the releases, are left out:
"hcchart up --dry-run" names them. The exit code is 2 when something would
change.`,
		Example: `  hcchart diff
  hcchart diff --values my-values.yaml -o json
  hcchart render > before.yaml
  hcchart diff --before before.yaml`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			format, err := parseOutput(flags.output)
			if err != nil {
				return err
			}
			changes, err := flags.compare(cmd, a, args)
			if err != nil {
				return err
			}
			if err := format.print(a.out, changes, func(table *tableWriter) { printChanges(table, changes) }); err != nil {
				return err
			}
			if len(changes) > 0 {
				return errDifferences
			}
			fmt.Fprintln(a.err, "nothing would change")
			return nil
		},
	}
	flags.addCharts(cmd)
	flags.addValues(cmd)
	flags.addTo(cmd.Flags())
	addOutputFlag(cmd.Flags(), &flags.output)
	cmd.Flags().StringVar(&flags.before, "before", "", "`file` with an earlier rendering, instead of the cluster")
	cmd.Flags().StringVar(&flags.options.Release, "release", config.Release, "`name` of the release, with --before")
	cmd.Flags().StringVar(&flags.options.Namespace, "namespace", config.Release, "`name` of the namespace, with --before")
	return cmd
}

func (f *diffFlags) compare(cmd *cobra.Command, a *app, args []string) ([]diff.Change, error) {
	if err := errors.Join(f.check(a), checkNames(f.options.Release, f.options.Namespace)); err != nil {
		return nil, err
	}
	if f.before != "" {
		if f.kubeconfig != "" || f.context != "" {
			return nil, usageError{errors.New("--before compares without a cluster; leave --kubeconfig and --context away")}
		}
		return f.compareRenderings(a, args)
	}
	if len(args) > 0 {
		return nil, usageError{errors.New("without --before the cluster's releases are compared; leave CHART away")}
	}
	cluster, err := config.LoadFrom(a.file, a.in)
	if err != nil {
		return nil, err
	}
	overlay, err := f.overlay(a, map[string]any{})
	if err != nil {
		return nil, err
	}
	connection, err := f.connect()
	if err != nil {
		return nil, err
	}
	up := deploy.Up{Cluster: cluster, Library: f.library(), Overlay: overlay, Kube: connection, Steps: term.NewSteps(io.Discard)}
	return up.Diff(cmd.Context())
}

func (f *diffFlags) compareRenderings(a *app, args []string) ([]diff.Change, error) {
	text, err := os.ReadFile(f.before)
	if err != nil {
		return nil, fmt.Errorf("--before: %w", err)
	}
	name := values.ChartUmbrella
	if len(args) == 1 {
		name = args[0]
	}
	c, given, err := chartAndValues(a, &f.chartFlags, name)
	if err != nil {
		return nil, err
	}
	if f.options.Values, err = f.overlay(a, given); err != nil {
		return nil, err
	}
	rendered, err := c.Render(f.options)
	if err != nil {
		return nil, err
	}
	warnMissing(a, c)
	before, err := objectsOf(f.before, string(text))
	if err != nil {
		return nil, err
	}
	after, err := objectsOf("the rendering", string(rendered.YAML()))
	if err != nil {
		return nil, err
	}
	return diff.Compare(diff.Pair(before, after)), nil
}

// objectsOf reads the objects of a manifest.
func objectsOf(file, text string) (objects []map[string]any, err error) {
	for _, document := range chart.SplitManifest(file, text) {
		var object map[string]any
		if err := yaml.Unmarshal([]byte(document.Text), &object); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if len(object) > 0 {
			objects = append(objects, object)
		}
	}
	return objects, nil
}

// printChanges prints which images change, then changes under their effects.
func printChanges(out io.Writer, changes []diff.Change) {
	if images := diff.Images(changes); len(images) > 0 {
		fmt.Fprintln(out, "images:")
		for _, image := range images {
			fmt.Fprintf(out, "  %s → %s\n", image.Before, image.After)
		}
	}
	var effect diff.Effect
	for _, c := range changes {
		if c.Effect != effect {
			effect = c.Effect
			fmt.Fprintf(out, "%s:\n", effect)
		}
		fmt.Fprintf(out, "  %s %s\n", c.Verb, c)
		for _, why := range c.Why {
			fmt.Fprintf(out, "    %s\n", why)
		}
		for _, f := range c.Fields {
			printField(out, f)
		}
	}
}

func printField(out io.Writer, f diff.Field) {
	was, isText := f.Before.(string)
	is, areTexts := f.After.(string)
	if !isText || !areTexts || !strings.Contains(was+is, "\n") {
		fmt.Fprintf(out, "    %s: %s → %s\n", f.Path, short(f.Before), short(f.After))
		return
	}
	text, err := difflib.GetUnifiedDiffString(difflib.UnifiedDiff{A: difflib.SplitLines(was), B: difflib.SplitLines(is), Context: 1})
	if err != nil {
		text = err.Error()
	}
	fmt.Fprintf(out, "    %s:\n", f.Path)
	for line := range strings.Lines(text) {
		fmt.Fprintf(out, "      %s\n", strings.TrimRight(line, "\n"))
	}
}

// short shows a value in a line.
func short(value any) string {
	if value == nil {
		return "nothing"
	}
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	const longest = 200
	if len(text) > longest {
		return strings.ToValidUTF8(string(text[:longest]), "") + "…"
	}
	return string(text)
}
