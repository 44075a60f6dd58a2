package charttest

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/pmezard/go-difflib/difflib"
)

var update = flag.Bool("update", false, "rewrite the golden files of charttest")

// Golden compares the whole rendering with a file; `go test -update` writes the
// file. What says nothing is left out: versions of charts in labels, blank lines.
func (r *Rendering) Golden(file string) {
	r.t.Helper()
	got := normalised(string(r.YAML()))
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
			r.t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			r.t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		r.t.Fatalf("%s isn't there; `go test -update` writes it", file)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	if string(want) == got {
		return
	}
	diff, err := difflib.GetUnifiedDiffString(difflib.UnifiedDiff{
		A: difflib.SplitLines(string(want)), B: difflib.SplitLines(got), FromFile: file, ToFile: "rendered" + r.with(), Context: 3,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Errorf("chart %s renders something else; `go test -update` when that is meant\n%s", r.chart.chart.Name, diff)
}

var (
	versionLabel = regexp.MustCompile(`(app\.kubernetes\.io/version|helm\.sh/chart): .*`)
	blank        = regexp.MustCompile(`(?m)^\s*\n`)
)

func normalised(text string) string {
	text = versionLabel.ReplaceAllString(text, "$1: VERSION")
	return strings.TrimSpace(blank.ReplaceAllString(text, "")) + "\n"
}
