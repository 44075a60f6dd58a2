package check

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"testing"

	"github.com/jstemmer/go-junit-report/v2/junit"
	"github.com/stretchr/testify/require"
)

func example() Report {
	return Report{Chart: "web", Values: []string{"small", "large"}, Versions: []string{"1.34"}, Findings: []Finding{
		{Rule: "image-pinned", Severity: Error, Values: "small", Object: "Deployment web", Source: "web/templates/deployment.yaml", Text: "container web: <latest> & moves"},
		{Rule: "host-network", Severity: Error, Values: "small", Object: "Deployment web", Source: "web/templates/deployment.yaml", Line: 2, Text: "uses it", Excused: "discovery", ExcusedBy: ByAnnotation},
		{Rule: "template-function", Severity: Warning, Values: "large", Source: "web/charts/sub/templates/x.yaml", Line: 7, Text: "now", Excused: "once", ExcusedBy: ByException},
		{Rule: ruleNoSchema, Severity: Note, Values: "large", Object: "Route web", Text: "not validated"},
	}}
}

func TestOpenFindingsAreNeitherAcceptedNorNotes(t *testing.T) {
	var rules []string
	for _, f := range example().Open() {
		rules = append(rules, f.Rule)
	}
	require.Equal(t, []string{"image-pinned"}, rules)
}

func TestSARIFMeetsItsSchema(t *testing.T) {
	report, err := example().sarif("charts/web") // validates
	require.NoError(t, err)
	results := report.Runs[0].Results
	require.Len(t, results, 4)
	require.Equal(t, "charts/web/templates/deployment.yaml", *results[0].Locations[0].PhysicalLocation.ArtifactLocation.URI)
	require.Equal(t, "charts/web/charts/sub/templates/x.yaml", *results[2].Locations[0].PhysicalLocation.ArtifactLocation.URI)
	require.Equal(t, 7, *results[2].Locations[0].PhysicalLocation.Region.StartLine)
	require.Nil(t, results[0].Locations[0].PhysicalLocation.Region, "a line that nobody knows")
	require.Equal(t, 2, *results[1].Locations[0].PhysicalLocation.Region.StartLine)
	require.Equal(t, "discovery", *results[1].Suppressions[0].Justification)
	require.Equal(t, "inSource", *results[1].Suppressions[0].Kind)
	require.Equal(t, "external", *results[2].Suppressions[0].Kind)
	require.Equal(t, "charts/web/Chart.yaml", *results[3].Locations[0].PhysicalLocation.ArtifactLocation.URI)
}

func TestSARIFNamesFilesAsURIs(t *testing.T) {
	for file, want := range map[string]string{
		"sh op/templates/ü.yaml": "sh%20op/templates/%C3%BC.yaml",
		"/charts/web/x.yaml":     "file:///charts/web/x.yaml",
		"C:/charts/web/x.yaml":   "file:///C:/charts/web/x.yaml",
		"a:b/x.yaml":             "./a:b/x.yaml",
	} {
		require.Equal(t, want, uri(file))
	}
}

func TestJUnitHasATestForEachRuleAndSetOfValues(t *testing.T) {
	var written bytes.Buffer
	require.NoError(t, example().JUnit(&written))
	var suites junit.Testsuites
	require.NoError(t, xml.Unmarshal(written.Bytes(), &suites))
	require.Len(t, suites.Suites, 2)
	require.Len(t, suites.Suites[0].Testcases, len(Rules()))
	require.Equal(t, 1, suites.Failures)
	require.Equal(t, 1, suites.Skipped)
}

func TestJSONIsTheReport(t *testing.T) {
	var written bytes.Buffer
	require.NoError(t, example().JSON(&written))
	var back Report
	require.NoError(t, json.Unmarshal(written.Bytes(), &back))
	require.Equal(t, example(), back)
}

func TestEveryRuleSaysWhyAndHowToMend(t *testing.T) {
	for _, rule := range Rules() {
		require.NotEmpty(t, rule.Summary, rule.ID)
		require.NotEmpty(t, rule.Why, rule.ID)
		require.NotEmpty(t, rule.Mend, rule.ID)
		require.Contains(t, []Severity{Error, Warning, Note}, rule.Severity, rule.ID)
	}
}
