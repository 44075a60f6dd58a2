package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/tmorin/homecloud/internal/chart"
	"github.com/tmorin/homecloud/internal/check"
	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/kubeschema"
	"github.com/tmorin/homecloud/internal/values"
)

// checkFlags are the flags of check.
type checkFlags struct {
	chartFlags
	clusterFlags
	release, namespace      string
	output                  string
	kubeVersion, schemas    string
	matrix, crds, provided  []string
	apiVersions             []string
	exceptions, before, min string
	rules                   bool
}

func newCheckCommand(a *app) *cobra.Command {
	var flags checkFlags
	cmd := &cobra.Command{
		Use:   "check [CHART]",
		Short: "Find what is wrong with a chart, without a cluster",
		Long: `check renders a chart and says what is wrong: values that the schema doesn't
know, objects that Kubernetes would refuse, and what will hurt later: images that
move, containers without limits or with root's rights, keys that nobody provides,
passwords that change with every rendering. --rules explains each rule.

CHART is one of homecloud's charts, by default the umbrella, with values from the
cluster file; or anybody's, as a folder or an archive, with --values alone.
--matrix checks with several values files, each on top of the others.

Objects are checked against each version of Kubernetes whose schemas are built
in; --kube-version takes one of them or a range, such as 1.34-1.36. --schemas
takes others instead: a folder of Kubernetes' OpenAPI v3 documents, or "cluster",
which asks the cluster of the kubeconfig and knows the kinds that were added to
it. Definitions of other kinds come from the chart and from --crds. A kind that
nobody knows is noted, never passed silently.

The chart is rendered for each of these versions. What a template renders only
where the cluster offers an API (.Capabilities.APIVersions.Has) is noted, and
rendered with --api-versions.

Charts below CHART that are developed with it, neither archives nor from a
repository elsewhere, are also checked alone with their own values: whether they
meet the schema, render, and give objects that Kubernetes takes. Others are only
checked inside.

An object may break a rule when its annotation check.homecloud/RULE says why;
what Kubernetes refuses (schema, name) no annotation accepts. For charts of
others, --exceptions names a YAML file: a list of rule, object ("Deployment web",
or a template, or either with * at the end) and reason; it accepts any rule.

The exit code is 2 when something is found that nobody has accepted.`,
		Example: `  hcchart check
  hcchart check ./charts/web --values production.yaml --kube-version 1.34-1.35
  hcchart check ./charts/web --matrix ci/ -o junit > report.xml
  hcchart check web-1.2.0.tgz --crds definitions/ --provided Secret/web:password
  hcchart check ./charts/web --api-versions monitoring.coreos.com/v1
  hcchart check --schemas cluster --context home
  hcchart check --rules`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return flags.run(cmd.Context(), a, args) },
	}
	flags.addCharts(cmd)
	flags.addValues(cmd)
	f := cmd.Flags()
	f.StringVar(&flags.release, "release", config.Release, "`name` of the release")
	f.StringVar(&flags.namespace, "namespace", config.Release, "`name` of the namespace")
	f.StringVarP(&flags.output, "output", "o", "table", "table, json, yaml, sarif or junit")
	f.StringVar(&flags.kubeVersion, "kube-version", "", "`version` of Kubernetes, or a range (default: all that are known)")
	f.StringVar(&flags.schemas, "schemas", "", "`folder` of OpenAPI v3 documents to check against, or cluster to ask one")
	flags.addTo(f)
	f.StringArrayVar(&flags.matrix, "matrix", nil, "values `file`, or folder of them, to check with by itself; may be repeated")
	f.StringArrayVar(&flags.crds, "crds", nil, "`file` or folder of CustomResourceDefinitions; may be repeated")
	f.StringArrayVar(&flags.apiVersions, "api-versions", nil, "`GROUP/VERSION[/KIND]` that the cluster will offer beside Kubernetes' own; may be repeated")
	f.StringArrayVar(&flags.provided, "provided", nil, "`KIND/NAME[:KEY,…]` that will be there without the chart; may be repeated")
	f.StringVar(&flags.exceptions, "exceptions", "", "`file` of accepted findings")
	f.StringVar(&flags.before, "before", "", "`file` with an earlier rendering, to find changes that Kubernetes refuses")
	f.StringVar(&flags.min, "severity", "note", "the least severity that is shown: note, warning or error")
	f.BoolVar(&flags.rules, "rules", false, "explain the rules")
	return cmd
}

var checkOutputs = []string{"table", "json", "yaml", "sarif", "junit"}

func (f *checkFlags) run(ctx context.Context, a *app, args []string) error {
	if err := f.usage(a); err != nil {
		return err
	}
	if f.rules {
		return f.printRules(a)
	}
	name := values.ChartUmbrella
	if len(args) == 1 {
		name = args[0]
	}
	begin := time.Now()
	checked, given, err := chartAndValues(a, &f.chartFlags, name)
	if err != nil {
		return err
	}
	base, err := f.overlay(a, given)
	if err != nil {
		return err
	}
	sets, err := f.sets(base)
	if err != nil {
		return err
	}
	checker, err := f.checker(ctx, a, name)
	if err != nil {
		return err
	}
	report := check.Report{Chart: checked.Name, Versions: checker.Versions, Findings: []check.Finding{}}
	for i, findings := range checker.All(checked, sets) {
		report.Values = append(report.Values, sets[i].Name)
		for _, finding := range findings {
			if severityOrder(finding.Severity) >= severityOrder(check.Severity(f.min)) {
				report.Findings = append(report.Findings, finding)
			}
		}
	}
	if err := f.print(a, report, name, time.Since(begin)); err != nil {
		return err
	}
	if len(report.Open()) > 0 {
		return errDifferences
	}
	return nil
}

func (f *checkFlags) usage(a *app) error {
	if !slices.Contains(checkOutputs, f.output) {
		return usageError{fmt.Errorf("--output %q: write table, json, yaml, sarif or junit", f.output)}
	}
	if severityOrder(check.Severity(f.min)) < 0 {
		return usageError{fmt.Errorf("--severity %q: write note, warning or error", f.min)}
	}
	if f.schemas != "cluster" && (f.kubeconfig != "" || f.context != "") {
		return usageError{errors.New("--kubeconfig and --context are of no use without --schemas cluster")}
	}
	return errors.Join(f.check(a), checkNames(f.release, f.namespace))
}

func severityOrder(s check.Severity) int {
	return slices.Index([]check.Severity{check.Note, check.Warning, check.Error}, s)
}

// sets are the values to check with: one, or one for each file of the matrix.
func (f *checkFlags) sets(base map[string]any) ([]check.Values, error) {
	set := func(name string, v map[string]any) check.Values {
		return check.Values{Name: name, Release: f.release, Namespace: f.namespace, Values: v}
	}
	if f.matrix == nil {
		return []check.Values{set("", base)}, nil
	}
	files, err := filesOf("--matrix", f.matrix, yamlNames)
	if err != nil {
		return nil, err
	}
	var sets []check.Values
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("--matrix: %w", err)
		}
		over, err := values.Read(file, text)
		if err != nil {
			return nil, err
		}
		sets = append(sets, set(file, values.Merge(base, over)))
	}
	return sets, nil
}

// The ends of the names of the files that are looked for in a folder.
var yamlNames, jsonNames = []string{".yaml", ".yml", ".json"}, []string{".json"}

// filesOf are the files that are named, and those in folders that are.
func filesOf(flag string, names, ends []string) (files []string, err error) {
	for _, name := range names {
		found := 0
		err := filepath.WalkDir(name, func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if !entry.IsDir() && (path == name || slices.Contains(ends, filepath.Ext(path))) {
				files = append(files, path)
				found++
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", flag, err)
		}
		if found == 0 {
			return nil, fmt.Errorf("%s %s: no file in there ends in %s", flag, name, strings.Join(ends, ", "))
		}
	}
	return files, nil
}

func (f *checkFlags) checker(ctx context.Context, a *app, name string) (*check.Checker, error) {
	schemas, err := f.kubernetes(ctx)
	if err != nil {
		return nil, err
	}
	c := &check.Checker{Schemas: schemas, APIVersions: f.apiVersions}
	if c.Versions, err = kubeVersions(f.kubeVersion, schemas.Versions()); err != nil {
		return nil, err
	}
	if c.Schemas, err = f.definitions(schemas); err != nil {
		return nil, err
	}
	if err := f.readExceptions(c); err != nil {
		return nil, err
	}
	for _, text := range f.provided {
		provided, err := check.ParseProvided(text)
		if err != nil {
			return nil, usageError{fmt.Errorf("--provided %w", err)}
		}
		c.Provided = append(c.Provided, provided)
	}
	if isOurs(name) {
		cluster, err := a.cluster()
		if err != nil {
			return nil, err
		}
		c.Provided = append(c.Provided, ourSecrets(cluster, f.release)...)
	}
	if f.before != "" {
		text, err := os.ReadFile(f.before)
		if err != nil {
			return nil, fmt.Errorf("--before: %w", err)
		}
		c.Before = chart.SplitManifest(f.before, string(text))
	}
	return c, nil
}

// ourSecrets are those that hcchart puts into the cluster before a release.
func ourSecrets(cluster *config.Cluster, release string) []check.Provided {
	names := []string{config.UsersSecret(release), config.PeersSecret(release)}
	for _, node := range cluster.Nodes {
		names = append(names, config.SyncthingSecret(release, node.Name))
	}
	var provided []check.Provided
	for _, name := range names {
		provided = append(provided, check.Provided{Kind: "Secret", Name: name})
	}
	return provided
}

// kubernetes are the kinds of Kubernetes to check against.
func (f *checkFlags) kubernetes(ctx context.Context) (*kubeschema.Schemas, error) {
	switch f.schemas {
	case "":
		return kubeschema.Shared()
	case "cluster":
		cluster, err := f.connect()
		if err != nil {
			return nil, err
		}
		version, err := cluster.Version(ctx)
		if err != nil {
			return nil, err
		}
		documents, err := cluster.OpenAPI(ctx)
		if err != nil {
			return nil, err
		}
		return kubeschema.FromDocuments(minor(version), documents)
	}
	files, err := filesOf("--schemas", []string{f.schemas}, jsonNames)
	if err != nil {
		return nil, err
	}
	documents := map[string][]byte{}
	for _, file := range files {
		if documents[file], err = os.ReadFile(file); err != nil {
			return nil, fmt.Errorf("--schemas: %w", err)
		}
	}
	schemas, err := kubeschema.FromDocuments(minor(f.kubeVersion), documents)
	switch {
	case errors.Is(err, kubeschema.ErrNoVersion):
		return nil, usageError{fmt.Errorf("--schemas %s: %w; say it with --kube-version", f.schemas, err)}
	case err != nil:
		return nil, fmt.Errorf("--schemas %s: %w", f.schemas, err)
	}
	return schemas, nil
}

func (f *checkFlags) definitions(schemas *kubeschema.Schemas) (*kubeschema.Schemas, error) {
	if f.crds == nil {
		return schemas, nil
	}
	files, err := filesOf("--crds", f.crds, yamlNames)
	if err != nil {
		return nil, err
	}
	added := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("--crds: %w", err)
		}
		for _, document := range chart.SplitManifest(file, string(text)) {
			var definition map[string]any
			if err := yaml.Unmarshal([]byte(document.Text), &definition); err != nil {
				return nil, fmt.Errorf("--crds %s: %w", file, err)
			}
			if definition["kind"] != "CustomResourceDefinition" {
				continue
			}
			if schemas, err = schemas.With(definition); err != nil {
				return nil, fmt.Errorf("--crds %s: %w", file, err)
			}
			added++
		}
	}
	if added == 0 {
		return nil, fmt.Errorf("--crds %s: no CustomResourceDefinition in there", strings.Join(f.crds, ", "))
	}
	return schemas, nil
}

func (f *checkFlags) readExceptions(c *check.Checker) error {
	if f.exceptions == "" {
		return nil
	}
	text, err := os.ReadFile(f.exceptions)
	if err != nil {
		return fmt.Errorf("--exceptions: %w", err)
	}
	if err := yaml.UnmarshalStrict(text, &c.Exceptions); err != nil {
		return fmt.Errorf("--exceptions %s: %w", f.exceptions, err)
	}
	if err := c.Validate(); err != nil {
		return fmt.Errorf("--exceptions %s: %w", f.exceptions, err)
	}
	return nil
}

// kubeVersions are the versions of a range such as 1.34-1.36.
func kubeVersions(text string, known []string) ([]string, error) {
	if text == "" {
		return known, nil
	}
	from, to, isRange := strings.Cut(text, "-")
	if !isRange {
		to = from
	}
	first, last := slices.Index(known, minor(from)), slices.Index(known, minor(to))
	if first < 0 || last < first {
		return nil, usageError{fmt.Errorf("--kube-version %q: write one of %s, or a range such as %s-%s", text, strings.Join(known, ", "), known[0], known[len(known)-1])}
	}
	return known[first : last+1], nil
}

// minor is 1.34 of 1.34.2 or v1.34.
func minor(version string) string {
	parts := strings.Split(strings.TrimPrefix(strings.TrimSpace(version), "v"), ".")
	return strings.Join(parts[:min(2, len(parts))], ".")
}

func (f *checkFlags) print(a *app, report check.Report, name string, took time.Duration) error {
	folder := ""
	if !isOurs(name) {
		folder = filepath.ToSlash(name)
	} else if f.directory != "" {
		folder = filepath.ToSlash(filepath.Join(f.directory, name))
	}
	switch f.output {
	case "json":
		return report.JSON(a.out)
	case "yaml":
		text, err := yaml.Marshal(report)
		if err != nil {
			return err
		}
		_, err = a.out.Write(text)
		return err
	case "sarif":
		return report.SARIF(a.out, cmp.Or(folder, name))
	case "junit":
		return report.JUnit(a.out)
	}
	return printFindings(a, report, took)
}

func printFindings(a *app, report check.Report, took time.Duration) error {
	var accepted int
	rows := map[string][]string{} // sets of values by what is found with them
	var order []check.Finding
	count := map[check.Severity]int{}
	broken := map[string]bool{}
	for _, f := range report.Findings {
		if f.Excused != "" {
			accepted++
			continue
		}
		with := f.Values
		f.Values = ""
		key := fmt.Sprint(f)
		if rows[key] == nil {
			order = append(order, f)
			count[f.Severity]++
			broken[f.Rule] = true
		}
		rows[key] = append(rows[key], with)
	}
	slices.SortStableFunc(order, func(a, b check.Finding) int { return severityOrder(b.Severity) - severityOrder(a.Severity) })
	for _, f := range order {
		with := rows[fmt.Sprint(f)]
		line := fmt.Sprintf("%s: %s: %s", f.Severity, f.Rule, strings.TrimPrefix(f.Where()+": "+f.Text, ": "))
		if len(report.Values) > 1 && len(with) < len(report.Values) {
			line += " (with " + strings.Join(with, ", ") + ")"
		}
		fmt.Fprintln(a.out, line)
	}
	if len(order) > 0 {
		fmt.Fprintln(a.out)
		for _, rule := range check.Rules() {
			if broken[rule.ID] {
				fmt.Fprintf(a.out, "%s: %s.\n", rule.ID, rule.Mend)
			}
		}
	}
	_, err := fmt.Fprintf(a.err, "%s: %s, %s, %s, %d accepted; %s, Kubernetes %s, %.2f s\n", report.Chart,
		counted(count[check.Error], "error"), counted(count[check.Warning], "warning"), counted(count[check.Note], "note"), accepted,
		counted(len(report.Values), "set")+" of values", strings.Join(report.Versions, ", "), took.Seconds())
	return err
}

func (f *checkFlags) printRules(a *app) error {
	format := outputFormat(f.output)
	if f.output == "sarif" || f.output == "junit" {
		return usageError{fmt.Errorf("--rules can't be printed as %s; write table, json or yaml", f.output)}
	}
	return format.print(a.out, check.Rules(), func(table *tableWriter) {
		for _, rule := range check.Rules() {
			fmt.Fprintf(table, "%s (%s): %s.\n  Why: %s.\n  Mend: %s.\n", rule.ID, rule.Severity, rule.Summary, rule.Why, rule.Mend)
		}
	})
}
