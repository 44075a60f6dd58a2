package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Finding is one thing to say about a file.
type Finding struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Path    string `json:"path"`    // of the field, empty for the file as a whole
	Problem string `json:"problem"` // what is wrong
	Remedy  string `json:"remedy"`  // what to write instead
}

// String is the finding in one line: FILE:LINE:COLUMN: path: problem; remedy.
func (f Finding) String() string {
	var line strings.Builder
	fmt.Fprintf(&line, "%s:%d:%d: ", f.File, f.Line, f.Column)
	if f.Path != "" {
		line.WriteString(f.Path + ": ")
	}
	line.WriteString(f.Problem)
	if f.Remedy != "" {
		line.WriteString("; " + f.Remedy)
	}
	return line.String()
}

// InvalidError is every error of a cluster file and its lock.
type InvalidError struct {
	Findings []Finding // sorted by file and position, never empty
	Warnings []Finding
}

// Error is one line per finding.
func (e *InvalidError) Error() string {
	lines := make([]string, len(e.Findings))
	for i, finding := range e.Findings {
		lines[i] = finding.String()
	}
	return strings.Join(lines, "\n")
}

// sortFindings orders by position; first is the file that comes first.
func sortFindings(findings []Finding, first string) []Finding {
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(
			-compareBool(a.File == first, b.File == first),
			cmp.Compare(a.File, b.File),
			cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Path, b.Path),
			cmp.Compare(a.Problem, b.Problem),
		)
	})
	return slices.Compact(findings)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	default:
		return -1
	}
}
