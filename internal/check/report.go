package check

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/jstemmer/go-junit-report/v2/junit"
	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"
)

// Report is what was found with all sets of values.
type Report struct {
	Chart    string    `json:"chart"`
	Values   []string  `json:"values"`   // names of the sets
	Versions []string  `json:"versions"` // of Kubernetes
	Findings []Finding `json:"findings"`
}

// Open returns the findings that nobody has accepted, notes aside.
func (r Report) Open() []Finding {
	return slices.DeleteFunc(slices.Clone(r.Findings), func(f Finding) bool { return f.Excused != "" || f.Severity == Note })
}

// Where is what a finding is about, in a few words.
func (f Finding) Where() string {
	switch {
	case f.Object != "":
		return f.Object
	case f.Line > 0:
		return fmt.Sprintf("%s:%d", f.Source, f.Line)
	}
	return f.Source
}

// JSON writes the report as data.
func (r Report) JSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(r)
}

// SARIF writes the report in the form that code hosts and editors show beside
// the code (SARIF 2.1.0). A finding's place is its template, below the folder
// that is given.
func (r Report) SARIF(w io.Writer, folder string) error {
	result, err := r.sarif(folder)
	if err != nil {
		return err
	}
	return result.PrettyWrite(w)
}

func (r Report) sarif(folder string) (*sarif.Report, error) {
	report := sarif.NewReport()
	run := sarif.NewRunWithInformationURI("hcchart", "https://github.com/tmorin/homecloud")
	report.AddRun(run)
	for _, rule := range Rules() {
		run.AddRule(rule.ID).WithDescription(rule.Summary).
			WithFullDescription(sarif.NewMultiformatMessageString().WithText(rule.Summary + ": otherwise " + rule.Why + ".")).
			WithHelp(sarif.NewMultiformatMessageString().WithText(rule.Mend))
	}
	for _, f := range r.Findings {
		result := run.CreateResultForRule(f.Rule).WithLevel(string(f.Severity)).WithMessage(sarif.NewTextMessage(strings.TrimPrefix(f.Object+": "+f.Text, ": ")))
		place := sarif.NewPhysicalLocation().WithArtifactLocation(sarif.NewSimpleArtifactLocation(uri(f.file(folder))))
		if f.Line > 0 {
			place.WithRegion(sarif.NewSimpleRegion(f.Line, f.Line))
		}
		result.WithLocations([]*sarif.Location{sarif.NewLocationWithPhysicalLocation(place)})
		if f.Excused != "" {
			kind := "inSource"
			if f.ExcusedBy == ByException {
				kind = "external"
			}
			result.AddSuppression(sarif.NewSuppression().WithKind(kind).WithJustification(f.Excused))
		}
	}
	return report, report.Validate()
}

// file is where a finding's template lies. Rendering calls templates by their
// chart's name, which is the folder's.
func (f Finding) file(folder string) string {
	if f.Source == "" {
		return path.Join(folder, "Chart.yaml")
	}
	_, below, _ := strings.Cut(f.Source, "/")
	return path.Join(folder, below)
}

// uri is how SARIF names a file: relative to the folder of the run, or from the
// root.
func uri(file string) string {
	if path.IsAbs(file) {
		return (&url.URL{Scheme: "file", Path: file}).String()
	}
	if drive, _, is := strings.Cut(file, ":/"); is && len(drive) == 1 { // of Windows
		return (&url.URL{Scheme: "file", Path: "/" + file}).String()
	}
	return (&url.URL{Path: file}).String()
}

// JUnit writes the report in the form that CI systems show as tests: one for
// each rule and set of values.
func (r Report) JUnit(w io.Writer) error {
	suites := junit.Testsuites{Name: "hcchart check " + r.Chart}
	for _, values := range r.Values {
		suite := junit.Testsuite{Name: strings.TrimSpace(r.Chart + " " + values)}
		for _, rule := range Rules() {
			test := junit.Testcase{Classname: suite.Name, Name: rule.ID + ": " + rule.Summary}
			var open, excused []string
			for _, f := range r.Findings {
				if f.Rule != rule.ID || f.Values != values {
					continue
				}
				if line := f.Where() + ": " + f.Text; f.Excused == "" {
					open = append(open, line)
				} else {
					excused = append(excused, line+" (accepted: "+f.Excused+")")
				}
			}
			text := strings.Join(open, "\n")
			switch {
			case open != nil && rule.Severity == Note:
				test.Skipped = &junit.Result{Message: text}
			case open != nil:
				test.Failure = &junit.Result{Message: string(rule.Severity) + ": " + open[0], Data: text + "\n" + rule.Mend}
			case excused != nil:
				test.SystemOut = &junit.Output{Data: strings.Join(excused, "\n")}
			}
			suite.AddTestcase(test)
		}
		suites.AddSuite(suite)
	}
	return suites.WriteXML(w)
}
