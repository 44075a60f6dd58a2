package check

import (
	"regexp"
	"slices"
	"strings"

	"github.com/tmorin/homecloud/internal/chart"
)

// alone checks the charts below one that are developed with it, each by itself
// and with its own values: whether they meet its schema, it renders, and
// Kubernetes takes its objects. What others may add, such as a Secret or a
// policy, is a matter of the whole. inside is what was found there: it isn't
// told again.
func (c *Checker) alone(parent *chart.Chart, below, key string, with Values, inside []Finding) (findings []Finding) {
	for _, sub := range parent.Own() {
		if sub.IsLibrary() {
			continue
		}
		runs := c.runs(sub, Values{Release: with.Release, Namespace: with.Namespace, Values: map[string]any{}})
		for _, r := range runs {
			r.below = below + "/charts/"
			rendered := slices.ContainsFunc(parent.CalledAs(sub), func(name string) bool {
				_, is := c.rendered.Load(r.below + name)
				return is
			})
			switch {
			case rendered && r.err != nil && !strings.HasPrefix(r.err.Error(), "values: "):
				// Inside it has the values that it needs.
			case !chart.IsDemand(r.err):
				r.alone()
			default:
				r.add(Finding{Rule: ruleNotRendered, Text: "not looked at: no values enable it, and its own don't suffice: " + r.err.Error()})
			}
		}
		for _, f := range merged(runs) {
			if !slices.ContainsFunc(inside, func(known Finding) bool { return sameAlone(f, known, sub.Name, key) }) {
				f.Text = "chart " + sub.Name + " alone: " + f.Text
				findings = append(findings, f)
			}
		}
		findings = append(findings, c.alone(sub, below+"/charts/"+sub.Name, key+sub.Name+".", with, inside)...)
	}
	return findings
}

func (r *run) alone() {
	r.folder()
	if r.err != nil {
		r.notRendered(r.err)
		return
	}
	r.readObjects()
	r.apply(objectRules)
}

// place is where a template fails.
var place = regexp.MustCompile(`/templates/\S+:\d+`)

// sameAlone says whether what was found in a chart alone is what was found of it
// in the whole, where its values lie below a key.
func sameAlone(alone, inside Finding, name, key string) bool {
	if alone.Rule != inside.Rule || alone.Object != inside.Object || alone.Source != inside.Source {
		return false
	}
	at := place.FindString(alone.Text)
	return alone.Text == inside.Text || alone.Rule == ruleRender && at != "" && strings.Contains(inside.Text, "/charts/"+name+at) ||
		alone.Rule == ruleValues && inside.Text == "values: "+key+name+"."+strings.TrimPrefix(alone.Text, "values: ")
}
