package check

import (
	"strings"
	"sync"

	"github.com/tmorin/homecloud/internal/chart"
	"github.com/tmorin/homecloud/internal/kubeschema"
)

// definitions are what a chart brings in crds/, the same with all values.
type definitions struct {
	objects  []*object
	findings []Finding
	schemas  *kubeschema.Schemas // with them
}

// definitions reads crds/ once.
func (c *Checker) definitions(checked *chart.Chart) definitions {
	read, _ := c.brought.LoadOrStore(checked, sync.OnceValue(func() (d definitions) {
		d.objects, d.findings = c.read(checked.Definitions(), "")
		d.schemas = withDefinitions(c.Schemas, d.objects)
		return d
	}))
	return read.(func() definitions)()
}

// withDefinitions makes the kinds known that objects define.
func withDefinitions(schemas *kubeschema.Schemas, objects []*object) *kubeschema.Schemas {
	for _, o := range objects {
		if o.kind != "CustomResourceDefinition" {
			continue
		}
		if with, err := schemas.With(o.value); err == nil { // else the rule schema says why
			schemas = with
		}
	}
	return schemas
}

// folder judges what lies in crds/, by itself: Helm installs it before the
// release.
func (r *run) folder() {
	brought := r.definitions(r.chart)
	r.schemas = brought.schemas
	for _, f := range brought.findings {
		r.add(f)
	}
	r.objects = brought.objects
	r.apply(objectRules)
	r.objects = nil
}

// unseen notes what nobody can judge here: what is only rendered where the
// cluster offers an API, and rules in CEL.
func (r *run) unseen() {
	for _, api := range r.asked.APIs {
		parts := strings.SplitN(api, "/", 3)
		if !r.schemas.IsCustom(strings.Join(parts[:min(2, len(parts))], "/"), strings.Join(parts[min(2, len(parts)):], "")) {
			continue // this version of Kubernetes doesn't offer it, nor does anybody else
		}
		f := Finding{Rule: ruleNotRendered, Text: "not looked at: what is rendered where " + api + " is offered; pass --api-versions " + api}
		f.Source, f.Line = r.mentions(`"` + api + `"`)
		r.add(f)
	}
	told := map[string]bool{}
	for _, o := range r.objects {
		if kind := o.apiVersion + " " + o.kind; !told[kind] && r.schemas.HasRules(o.apiVersion, o.kind) {
			told[kind] = true
			r.tell(ruleCEL, o, "the rules in CEL of "+kind+" (x-kubernetes-validations) aren't evaluated")
		}
	}
}

// mentions is the first template and line with a text.
func (r *run) mentions(text string) (source string, line int) {
	templates := r.chart.Templates()
	for _, name := range sortedKeys(templates) {
		if before, _, found := strings.Cut(templates[name], text); found {
			return name, 1 + strings.Count(before, "\n")
		}
	}
	return "", 0
}
