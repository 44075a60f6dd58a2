// Package check says what is wrong with a chart: with its values, with the
// objects that it renders, and with how it will live in a cluster. It needs no
// cluster.
package check

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/tmorin/homecloud/internal/chart"
	"github.com/tmorin/homecloud/internal/kubeschema"
)

// Severity is how much a finding matters.
type Severity string

// Severities. A note tells what could not be checked.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
	Note    Severity = "note"
)

// Finding is one thing that is wrong.
type Finding struct {
	Rule     string   `json:"rule"`
	Severity Severity `json:"severity"`
	Values   string   `json:"values,omitempty"` // the values it was found with
	Object   string   `json:"object,omitempty"` // such as DaemonSet syncthing
	Source   string   `json:"source,omitempty"` // the template
	Line     int      `json:"line,omitempty"`   // of the template; 0: not known
	Text     string   `json:"text"`
	// Excused is the reason why it is accepted; empty: it isn't.
	Excused   string `json:"excused,omitempty"`
	ExcusedBy string `json:"excusedBy,omitempty"` // annotation or exception
}

// Rule is what charts are judged by.
type Rule struct {
	ID       string   `json:"id"`
	Severity Severity `json:"severity"`
	Summary  string   `json:"summary"`
	Why      string   `json:"why"`
	Mend     string   `json:"mend"`

	check func(*run)
}

// Checker checks charts.
type Checker struct {
	Schemas  *kubeschema.Schemas
	Versions []string // of Kubernetes, such as 1.34
	// Exceptions are accepted findings of charts that can't carry an annotation.
	Exceptions []Exception
	// Provided are Secrets and ConfigMaps that will be there without the chart.
	Provided []Provided
	// Before is an earlier rendering of the same release; nil: none is known.
	Before []chart.Document
	// APIVersions are offered beside Kubernetes' own, such as
	// monitoring.coreos.com/v1, or with /Kind.
	APIVersions []string

	readings
	excuses
	brought  sync.Map // of a chart: its definitions
	rendered sync.Map // paths of the charts of which something was rendered
	lines    sync.Map // where templates begin objects
}

// Provided is a Secret or ConfigMap that is there, and its keys; nil: any.
type Provided struct {
	Kind, Name string
	Keys       []string
}

// ParseProvided reads KIND/NAME, or KIND/NAME:KEY,KEY.
func ParseProvided(text string) (Provided, error) {
	object, keys, hasKeys := strings.Cut(text, ":")
	kind, name, ok := strings.Cut(object, "/")
	if !ok || kind == "" || name == "" {
		return Provided{}, fmt.Errorf("%q: write one such as Secret/web, or Secret/web:user,password", text)
	}
	provided := Provided{Kind: kind, Name: name}
	if hasKeys {
		provided.Keys = strings.Split(keys, ",")
	}
	return provided, nil
}

// Values are what a chart is checked with.
type Values struct {
	Name      string // shown in findings
	Release   string
	Namespace string
	Values    map[string]any
}

// All checks a chart with each set of values, beside each other, and the charts
// that are developed with it alone. It returns what is wrong with each set,
// sorted; what is excused, too.
func (c *Checker) All(checked *chart.Chart, sets []Values) [][]Finding {
	results := make([][]Finding, len(sets))
	free := make(chan struct{}, runtime.NumCPU())
	var all sync.WaitGroup
	for i, set := range sets {
		all.Go(func() {
			free <- struct{}{}
			defer func() { <-free }()
			results[i] = c.check(checked, set)
		})
	}
	all.Wait()
	everywhere := c.alone(checked, checked.Name, "", sets[0], slices.Concat(results...))
	everywhere = append(everywhere, c.unused()...)
	for i, set := range sets {
		for _, f := range everywhere {
			f.Values = set.Name
			results[i] = append(results[i], f)
		}
		sortFindings(results[i])
	}
	return results
}

// Check checks with one set of values.
func (c *Checker) Check(checked *chart.Chart, with Values) []Finding {
	return c.All(checked, []Values{with})[0]
}

// run is one check of one chart with one set of values, for the versions of
// Kubernetes for which it renders the same.
type run struct {
	*Checker
	versions  []string
	documents []chart.Document
	err       error    // it can't be rendered
	offered   []string // APIs
	asked     chart.Asked
	schemas   *kubeschema.Schemas // with the chart's own definitions
	chart     *chart.Chart
	with      Values
	below     string // nothing, or the path of charts that leads to one that is checked alone
	complete  bool   // all that was rendered could be read
	objects   []*object
	findings  []Finding
	rule      *Rule // that is at work
}

func (c *Checker) check(checked *chart.Chart, with Values) []Finding {
	runs := c.runs(checked, with)
	for _, r := range runs {
		r.check()
	}
	return merged(runs)
}

// runs renders a chart for each version of Kubernetes.
func (c *Checker) runs(checked *chart.Chart, with Values) (runs []*run) {
	var refused []string
	for _, version := range c.Versions {
		r := &run{Checker: c, chart: checked, with: with, schemas: c.Schemas, versions: []string{version}}
		if !checked.Takes(version + ".0") {
			refused = append(refused, version)
			continue
		}
		if len(runs) > 0 && !runs[0].asked.Version { // the same for all
			runs[0].versions = append(runs[0].versions, version)
			continue
		}
		r.offered = slices.Concat(c.Schemas.Offered(version), c.APIVersions)
		options := r.options(with.Values)
		options.Asked = &r.asked
		r.documents, r.err = checked.Documents(options)
		same := slices.IndexFunc(runs, func(other *run) bool {
			return slices.Equal(other.documents, r.documents) && slices.Equal(other.asked.APIs, r.asked.APIs) && fmt.Sprint(other.err) == fmt.Sprint(r.err)
		})
		if same >= 0 {
			runs[same].versions = append(runs[same].versions, version)
			continue
		}
		runs = append(runs, r)
	}
	if refused != nil {
		r := &run{Checker: c, chart: checked, with: with, schemas: c.Schemas, versions: refused}
		r.err = fmt.Errorf("chart %s: its kubeVersion leaves out Kubernetes %s; --kube-version says what to check against", checked.Name, strings.Join(refused, ", "))
		runs = append(runs, r)
	}
	return runs
}

// check finds everything that is wrong.
func (r *run) check() {
	r.folder()
	if r.err != nil {
		r.notRendered(r.err)
		return
	}
	r.readObjects()
	for _, d := range r.documents {
		of, _, _ := strings.Cut(d.Source, "/templates/")
		r.rendered.Store(of, nil)
	}
	r.apply(rules)
	r.annotations()
	r.unseen()
	if err := r.chart.CheckAsDependency(); err != nil {
		for _, reason := range reasons(err) {
			r.add(Finding{Rule: ruleSubchart, Text: reason})
		}
	}
	r.again()
}

func (r *run) readObjects() {
	var broken []Finding
	r.objects, broken = r.read(r.documents, r.with.Namespace)
	for _, f := range broken {
		r.add(f)
	}
	r.complete = broken == nil
	r.schemas = withDefinitions(r.schemas, r.objects)
}

func (r *run) apply(rules []Rule) {
	for i := range rules {
		r.rule = &rules[i]
		r.rule.check(r)
	}
	r.rule = nil
}

func (r *run) options(values map[string]any) chart.RenderOptions {
	return chart.RenderOptions{Release: r.with.Release, Namespace: r.with.Namespace, Values: values, KubeVersion: r.versions[0] + ".0", APIVersions: r.offered}
}

// notRendered tells why a chart can't be rendered, a finding for each reason.
func (r *run) notRendered(err error) {
	for _, line := range reasons(err) {
		rule := ruleRender
		if strings.HasPrefix(line, "values: ") {
			rule = ruleValues
		} else if strings.Contains(line, "is enabled but isn't downloaded") {
			rule = ruleMissing
		}
		r.add(Finding{Rule: rule, Text: line})
	}
}

func reasons(err error) []string {
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		var lines []string
		for _, e := range joined.Unwrap() {
			lines = append(lines, reasons(e)...)
		}
		return lines
	}
	return []string{err.Error()}
}

// found adds a finding of the rule at work.
func (r *run) found(o *object, format string, arguments ...any) {
	r.tell(r.rule.ID, o, fmt.Sprintf(format, arguments...))
}

// tell adds a finding of any rule about an object, or about none.
func (r *run) tell(rule string, o *object, text string) {
	f := Finding{Rule: rule, Text: text}
	if o != nil {
		f.Object, f.Source, f.Line = o.String(), o.source, r.line(o)
	}
	r.addOf(f, o)
}

func (r *run) add(f Finding) { r.addOf(f, nil) }

func (r *run) addOf(f Finding, o *object) {
	if r.rule != nil && r.rule.ID == f.Rule {
		f.Severity = r.rule.Severity
	} else {
		f.Severity = outsideSeverity(f.Rule)
	}
	f.Values = r.with.Name
	if f.Source != "" {
		f.Source = r.below + f.Source
	}
	r.excuse(&f, o)
	r.findings = append(r.findings, f)
}

// line is where a template begins an object, when it writes only one of the kind.
func (r *run) line(o *object) int {
	type place struct {
		chart        *chart.Chart
		source, kind string
	}
	key := place{r.chart, o.source, o.kind}
	if known, has := r.lines.Load(key); has {
		return known.(int)
	}
	line, times := 0, 0
	for i, text := range strings.Split(string(r.chart.File(o.source)), "\n") {
		if kind, is := strings.CutPrefix(text, "kind:"); is && strings.Trim(kind, " \r\"'") == o.kind {
			line, times = i+1, times+1
		}
	}
	if times != 1 {
		line = 0
	}
	r.lines.Store(key, line)
	return line
}

// merged are the findings of all runs. What isn't found with all versions says
// with which.
func merged(runs []*run) (findings []Finding) {
	versions := map[Finding][]string{}
	total := 0
	for _, r := range runs {
		total += len(r.versions)
		for _, f := range sortFindings(r.findings) {
			versions[f] = append(versions[f], r.versions...)
		}
	}
	for f, with := range versions {
		if len(with) < total && !strings.Contains(f.Text, "Kubernetes 1.") {
			f.Text += " (Kubernetes " + strings.Join(with, ", ") + ")"
		}
		findings = append(findings, f)
	}
	return sortFindings(findings)
}

func sortFindings(findings []Finding) []Finding {
	order := map[Severity]int{Error: 0, Warning: 1, Note: 2}
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(order[a.Severity], order[b.Severity]), cmp.Compare(a.Source, b.Source), cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Object, b.Object), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Text, b.Text))
	})
	return slices.Compact(findings)
}

// Rules returns all rules, sorted by id.
func Rules() []Rule {
	all := slices.Concat(rules, outside)
	slices.SortFunc(all, func(a, b Rule) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

func outsideSeverity(id string) Severity {
	return outside[slices.IndexFunc(outside, func(rule Rule) bool { return rule.ID == id })].Severity
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
