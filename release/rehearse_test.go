package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tmorin/homecloud/internal/term"
)

func TestWorkTreeThatIsNoCommitIsRefused(t *testing.T) {
	root := repository(t)
	write(t, root, "CHANGELOG.md", "changed")
	write(t, root, "new file", "")
	r := &rehearsal{build: build{root: root, out: filepath.Join(t.TempDir(), "release"), withoutImages: true, steps: term.NewSteps(io.Discard)}}
	require.EqualError(t, r.run(t.Context()), `a release is of a commit, and these aren't committed; commit or stash them, or try with --allow-dirty:
   M CHANGELOG.md
  ?? "new file"`)
}

func TestFolderThatIsNoReleaseIsNotReplaced(t *testing.T) {
	out := t.TempDir()
	write(t, out, "thesis.odt", "years of work")
	r := &rehearsal{build: build{root: repository(t), out: out, withoutImages: true, steps: term.NewSteps(io.Discard)}}
	require.EqualError(t, r.run(t.Context()), out+": holds something else than a release (no SHA256SUMS) and would be replaced; name another folder with --out")
	require.FileExists(t, filepath.Join(out, "thesis.odt"))
}

func TestImagesAreLeftOutOnlyWhenAsked(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root makes them")
	}
	r := &rehearsal{build: build{root: repository(t), out: t.TempDir(), steps: term.NewSteps(io.Discard)}}
	require.ErrorContains(t, r.run(t.Context()), "run this as root, or leave it out with --without-images")
}

func TestNotesAreTheSectionOfTheVersionOrWhatIsUnreleased(t *testing.T) {
	changelog := "# Changelog\n\nIntroduction.\n\n## Unreleased\n\n- Next.\n\n## 0.2.0 - 2026-11-22\n\n### Fixed\n\n- Now.\n\n## [0.1.0]\n- First.\n"
	root := t.TempDir()
	write(t, root, "CHANGELOG.md", changelog)
	for version, want := range map[string]string{
		"v0.2.0":            "# homecloud v0.2.0\n\n### Fixed\n\n- Now.\n",
		"v0.1.0":            "# homecloud v0.1.0\n\n- First.\n",
		"v0.2.0-3-g1234567": "# homecloud v0.2.0-3-g1234567\n\n- Next.\n",
	} {
		got, err := (&build{root: root, version: version}).notes()
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	write(t, root, "CHANGELOG.md", "# Changelog\n")
	_, err := (&build{root: root, version: "v0.3.0"}).notes()
	require.EqualError(t, err, filepath.Join(root, "CHANGELOG.md")+`: has neither a section "## 0.3.0" nor "## Unreleased"; write what changed`)
}

// repository is one with a commit.
func repository(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	write(t, root, "CHANGELOG.md", "## Unreleased\n")
	for _, args := range [][]string{{"init", "--quiet"}, {"add", "."}, {"-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", "a"}} {
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Dir = root
		output, err := cmd.CombinedOutput()
		require.NoError(t, err, string(output))
	}
	return root
}
