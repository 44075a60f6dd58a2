package check_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/tmorin/homecloud/internal/chart"
	"github.com/tmorin/homecloud/internal/check"
	"github.com/tmorin/homecloud/internal/kubeschema"
)

// TestBrokenCharts checks each chart of testdata/charts: the chart of
// testdata/base.txtar with files of its own, and edits ("old" => "new") in
// others. The files exceptions and api-versions are what the command's flags say.
// Above the files stand the findings that are expected, and no others; a
// … stands for any text.
func TestBrokenCharts(t *testing.T) {
	files, err := filepath.Glob("testdata/charts/*.txtar")
	require.NoError(t, err)
	require.Greater(t, len(files), 40)
	proved := map[string]bool{}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			require.NoError(t, err)
			now, before := edited(t, archive)
			checker := newChecker(t)
			checker.APIVersions = strings.Fields(now["api-versions"])
			require.NoError(t, yaml.UnmarshalStrict([]byte(now["exceptions"]), &checker.Exceptions))
			require.NoError(t, checker.Validate())
			delete(now, "api-versions")
			delete(now, "exceptions")
			with := check.Values{Release: "web", Namespace: "web", Values: map[string]any{}}
			if before != nil {
				checker.Before, err = load(t, before).Documents(chart.RenderOptions{Release: "web", Namespace: "web", Values: with.Values})
				require.NoError(t, err)
			}
			checked := load(t, now)
			var got []string
			for _, f := range checker.Check(checked, with) {
				got = append(got, worded(f))
			}
			want := strings.Split(strings.TrimSpace(string(archive.Comment)), "\n")
			if want[0] == "" {
				want = nil
			}
			require.Len(t, got, len(want), "%s", strings.Join(got, "\n"))
			for i, line := range want {
				pattern := strings.ReplaceAll(regexp.QuoteMeta(line), "…", ".*")
				require.Regexp(t, "^(?s:"+pattern+")$", strings.ReplaceAll(got[i], "\n", " "))
				rule, _, _ := strings.Cut(line, ":")
				proved[rule] = true
			}
		})
	}
	if !t.Failed() {
		for _, rule := range check.Rules() {
			require.True(t, proved[rule.ID], "no broken chart for the rule %s", rule.ID)
		}
	}
}

// worded is a finding as the archives write it.
func worded(f check.Finding) string {
	text := f.Rule + ": "
	switch {
	case f.Object != "":
		text += f.Object + ": "
	case f.Line > 0:
		text += f.Source + ":" + strconv.Itoa(f.Line) + ": "
	}
	text += f.Text
	if f.Excused != "" {
		text += " (accepted: " + f.Excused + ")"
	}
	return text
}

var builtin = sync.OnceValues(kubeschema.Builtin)

func newChecker(t testing.TB) *check.Checker {
	t.Helper()
	schemas, err := builtin()
	require.NoError(t, err)
	return &check.Checker{Schemas: schemas, Versions: schemas.Versions(),
		Provided: []check.Provided{{Kind: "Secret", Name: "given", Keys: []string{"password"}}}}
}

var edit = regexp.MustCompile(`(?m)^("(?:[^"\\]|\\.)*") => ("(?:[^"\\]|\\.)*")$`)

// edited returns the files of a chart, and those of its earlier form where the
// archive has one.
func edited(t *testing.T, archive *txtar.Archive) (now, before map[string]string) {
	t.Helper()
	base, err := txtar.ParseFile("testdata/base.txtar")
	require.NoError(t, err)
	files := func() map[string]string {
		files := map[string]string{}
		for _, f := range base.Files {
			files[f.Name] = string(f.Data)
		}
		return files
	}
	now = files()
	for _, f := range archive.Files {
		name, isEdit := strings.CutPrefix(f.Name, "edit ")
		target := now
		if earlier, is := strings.CutPrefix(name, "before "); is {
			if before == nil {
				before = files()
			}
			target, name = before, earlier
		}
		if !isEdit {
			target[name] = string(f.Data)
			continue
		}
		edits := edit.FindAllStringSubmatch(string(f.Data), -1)
		require.NotEmpty(t, edits, "%s", f.Data)
		for _, e := range edits {
			from, err := strconv.Unquote(e[1])
			require.NoError(t, err)
			to, err := strconv.Unquote(e[2])
			require.NoError(t, err)
			require.Equal(t, 1, strings.Count(target[name], from), "%s: %q", name, from)
			target[name] = strings.Replace(target[name], from, to, 1)
		}
	}
	return now, before
}

func load(t testing.TB, files map[string]string) *chart.Chart {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o750))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	c, err := chart.Load(dir)
	require.NoError(t, err)
	return c
}
