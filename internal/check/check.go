// Package check says what is wrong with a chart: with its values, with the
// objects that it renders, and with how it will live in a cluster. It needs no
// cluster.
package check

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

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
	Excused string `json:"excused,omitempty"`
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

	readings
}

// Exception accepts findings of a rule. Object may end in a star.
type Exception struct {
	Rule   string `json:"rule"`
	Object string `json:"object"` // such as DaemonSet syncthing, or *
	Reason string `json:"reason"`
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

// Validate says whether the exceptions make sense: each names a rule that there
// is, an object and a reason.
func (c *Checker) Validate() error {
	for i, e := range c.Exceptions {
		switch {
		case !slices.ContainsFunc(Rules(), func(rule Rule) bool { return rule.ID == e.Rule }):
			return fmt.Errorf("[%d].rule: there is no rule %q; see hcchart check --rules", i, e.Rule)
		case strings.TrimSpace(e.Reason) == "":
			return fmt.Errorf("[%d].reason: is missing; say why %s may be broken", i, e.Rule)
		case e.Object == "":
			return fmt.Errorf("[%d].object: is missing; write one such as \"Deployment web\", or \"*\"", i)
		}
	}
	return nil
}

// Values are what a chart is checked with.
type Values struct {
	Name      string // shown in findings
	Release   string
	Namespace string
	Values    map[string]any
}

// run is one check of one chart with one set of values.
type run struct {
	*Checker
	schemas  *kubeschema.Schemas // with the chart's own definitions
	chart    *chart.Chart
	with     Values
	complete bool // all that was rendered could be read
	objects  []*object
	findings []Finding
	rule     *Rule // that is at work
}

// Check returns everything that is wrong with a chart and some values, sorted;
// what is excused, too.
func (c *Checker) Check(checked *chart.Chart, with Values) []Finding {
	r := &run{Checker: c, schemas: c.Schemas, chart: checked, with: with}
	documents, err := checked.Documents(r.options(with.Values))
	if err != nil {
		r.notRendered(err)
		return r.sorted()
	}
	var broken []Finding
	r.objects, broken = r.read(documents, with.Namespace)
	for _, f := range broken {
		r.add(f)
	}
	r.complete = broken == nil
	r.addDefinitions()
	for i := range rules {
		r.rule = &rules[i]
		r.rule.check(r)
	}
	r.rule = nil
	if err := checked.CheckAsDependency(); err != nil {
		for _, reason := range reasons(err) {
			r.add(Finding{Rule: ruleSubchart, Text: reason})
		}
	}
	r.again(documents)
	return r.sorted()
}

// addDefinitions makes the kinds known that the chart itself defines.
func (r *run) addDefinitions() {
	brought, _ := r.read(r.chart.Definitions(), "")
	for _, o := range slices.Concat(brought, r.objects) {
		if o.kind != "CustomResourceDefinition" {
			continue
		}
		if with, err := r.schemas.With(o.value); err == nil { // else the rule schema says why
			r.schemas = with
		}
	}
}

func (r *run) options(values map[string]any) chart.RenderOptions {
	return chart.RenderOptions{Release: r.with.Release, Namespace: r.with.Namespace, Values: values, KubeVersion: r.Versions[0] + ".0"}
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
	f := Finding{Rule: r.rule.ID, Text: fmt.Sprintf(format, arguments...)}
	if o != nil {
		f.Object, f.Source = o.String(), o.source
		f.Excused = strings.TrimSpace(o.annotation(exceptionAnnotation + r.rule.ID))
	}
	r.add(f)
}

// exceptionAnnotation, with a rule's id, carries the reason why an object may
// break the rule.
const exceptionAnnotation = "check.homecloud/"

func (r *run) add(f Finding) {
	if r.rule != nil && r.rule.ID == f.Rule {
		f.Severity = r.rule.Severity
	} else {
		f.Severity = outsideSeverity(f.Rule)
	}
	f.Values = r.with.Name
	for _, e := range r.Exceptions {
		if f.Excused == "" && e.Rule == f.Rule && e.matches(f.Object) {
			f.Excused = e.Reason
		}
	}
	r.findings = append(r.findings, f)
}

func (e Exception) matches(object string) bool {
	if prefix, is := strings.CutSuffix(e.Object, "*"); is {
		return strings.HasPrefix(object, prefix)
	}
	return object == e.Object
}

func (r *run) sorted() []Finding {
	order := map[Severity]int{Error: 0, Warning: 1, Note: 2}
	slices.SortStableFunc(r.findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(order[a.Severity], order[b.Severity]), cmp.Compare(a.Source, b.Source), cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Object, b.Object), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Text, b.Text))
	})
	return slices.Compact(r.findings)
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
