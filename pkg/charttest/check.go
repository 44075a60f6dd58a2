package charttest

import (
	"strings"
	"testing"

	"github.com/tmorin/homecloud/internal/check"
	"github.com/tmorin/homecloud/internal/kubeschema"
)

// Expect is what a chart's check takes for granted.
type Expect struct {
	// Provided are objects that will be there without the chart, such as
	// Secret/web, or Secret/web:user,password with its keys.
	Provided []string
	// Accepted are the ids of rules that the chart may break, each with the reason.
	// Where the chart can carry it, an annotation is the better place.
	Accepted map[string]string
	// KubeVersions are those of Kubernetes, such as 1.34; empty: all that are known.
	KubeVersions []string
}

// Check fails the test for everything that `hcchart check` finds in the chart
// with these values.
func (c *Chart) Check(t testing.TB, expect Expect, options ...Option) {
	t.Helper()
	schemas, err := kubeschema.Shared()
	if err != nil {
		t.Fatal(err)
	}
	checker := &check.Checker{Schemas: schemas, Versions: expect.KubeVersions}
	if checker.Versions == nil {
		checker.Versions = schemas.Versions()
	}
	for _, text := range expect.Provided {
		provided, err := check.ParseProvided(text)
		if err != nil {
			t.Fatal(err)
		}
		checker.Provided = append(checker.Provided, provided)
	}
	for rule, reason := range expect.Accepted {
		checker.Exceptions = append(checker.Exceptions, check.Exception{Rule: rule, Object: "*", Reason: reason})
	}
	if err := checker.Validate(); err != nil {
		t.Fatal(err)
	}
	s := c.settings(t, options)
	report := check.Report{Findings: checker.Check(c.chart, check.Values{Release: s.release, Namespace: s.namespace, Values: s.merged()})}
	var open []string
	for _, f := range report.Open() {
		open = append(open, string(f.Severity)+": "+f.Rule+": "+strings.TrimPrefix(f.Where()+": "+f.Text, ": "))
	}
	if open != nil {
		t.Errorf("chart %s%s\n  %s", c.chart.Name, strings.TrimSuffix(" "+s.files(), " "), strings.Join(open, "\n  "))
	}
}
