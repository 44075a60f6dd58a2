package check

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/tmorin/homecloud/internal/config"
)

// Exception accepts findings of a rule.
type Exception struct {
	Rule string `json:"rule"`
	// Object is one such as DaemonSet syncthing, or a template such as
	// web/templates/secret.yaml; it may end in a star.
	Object string `json:"object"`
	Reason string `json:"reason"`
}

// Where the reason of an accepted finding stands.
const (
	ByAnnotation = "annotation"
	ByException  = "exception"
)

// annotationPrefix, with a rule's id, is the annotation with the reason why an
// object may break the rule.
const annotationPrefix = "check.homecloud/"

// refusals are the rules that no annotation accepts: Kubernetes refuses the
// object, whatever the reason. A list of exceptions may, for charts of others.
var refusals = []string{"schema", "name"}

// Validate says whether the exceptions make sense: each names a rule that there
// is, an object and a reason.
func (c *Checker) Validate() error {
	for i, e := range c.Exceptions {
		switch {
		case !slices.Contains(ruleIDs(), e.Rule):
			return fmt.Errorf("[%d].rule: %s", i, noRule(e.Rule))
		case strings.TrimSpace(e.Reason) == "":
			return fmt.Errorf("[%d].reason: is missing; say why %s may be broken", i, e.Rule)
		case e.Object == "":
			return fmt.Errorf("[%d].object: is missing; write one such as \"Deployment web\", a template, or \"*\"", i)
		}
	}
	return nil
}

func noRule(id string) string {
	if meant := config.Suggest(id, ruleIDs()); meant != "" {
		return fmt.Sprintf("there is no rule %q; did you mean %s?", id, meant)
	}
	return fmt.Sprintf("there is no rule %q; see hcchart check --rules", id)
}

func ruleIDs() (ids []string) {
	for _, rule := range Rules() {
		ids = append(ids, rule.ID)
	}
	return ids
}

func (e Exception) matches(f Finding) bool {
	if prefix, is := strings.CutSuffix(e.Object, "*"); is {
		return strings.HasPrefix(f.Object, prefix) || strings.HasPrefix(f.Source, prefix)
	}
	return e.Object == f.Object || e.Object == f.Source
}

// excuses remembers which exceptions there are, and which accepted something.
type excuses struct {
	annotated sync.Map // annotated → nothing
	used      sync.Map // annotated, or the index of an exception → nothing
}

// annotated is an object's annotation for a rule.
type annotated struct{ rule, object, source string }

// excuse looks for the reason why a finding is accepted. o is nil when it is
// about no object.
func (r *run) excuse(f *Finding, o *object) {
	if o != nil && !slices.Contains(refusals, f.Rule) {
		if reason := strings.TrimSpace(o.annotation(annotationPrefix + f.Rule)); reason != "" {
			f.Excused, f.ExcusedBy = reason, ByAnnotation
			r.used.Store(annotated{f.Rule, f.Object, f.Source}, nil)
			return
		}
	}
	for i, e := range r.Exceptions {
		if e.Rule == f.Rule && e.matches(*f) {
			f.Excused, f.ExcusedBy = e.Reason, ByException
			r.used.Store(i, nil)
			return
		}
	}
}

// annotations judges the objects' exceptions themselves.
func (r *run) annotations() {
	for _, o := range r.objects {
		all, _, _ := unstructured.NestedStringMap(o.value, "metadata", "annotations")
		for _, key := range sortedKeys(all) {
			rule, is := strings.CutPrefix(key, annotationPrefix)
			switch {
			case !is:
			case !slices.Contains(ruleIDs(), rule):
				r.tell(ruleException, o, "annotation "+key+": "+noRule(rule))
			case slices.Contains(refusals, rule):
				r.tell(ruleException, o, "annotation "+key+": no reason makes Kubernetes take the object; correct it")
			case strings.TrimSpace(all[key]) != "":
				r.annotated.Store(annotated{rule, o.String(), r.below + o.source}, nil)
			}
		}
	}
}

// unused are the exceptions that accepted nothing in all that was checked.
func (c *Checker) unused() (findings []Finding) {
	tell := func(f Finding) {
		f.Rule, f.Severity = ruleUnused, Note
		findings = append(findings, f)
	}
	c.annotated.Range(func(key, _ any) bool {
		if _, used := c.used.Load(key); !used {
			a := key.(annotated)
			tell(Finding{Object: a.object, Source: a.source, Text: "annotation " + annotationPrefix + a.rule + ": there is nothing to accept"})
		}
		return true
	})
	for i, e := range c.Exceptions {
		if _, used := c.used.Load(i); !used {
			tell(Finding{Text: fmt.Sprintf("exceptions [%d], %s of %s: there is nothing to accept", i, e.Rule, e.Object)})
		}
	}
	return findings
}
