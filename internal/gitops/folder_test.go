package gitops

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func files(pairs ...string) map[string]File {
	all := map[string]File{}
	for i := 0; i < len(pairs); i += 2 {
		all[pairs[i]] = File{Content: []byte(pairs[i+1])}
	}
	return all
}

func put(t *testing.T, dir, name, content string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644))
}

// tree reads a folder, the list aside.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || entry.Name() == listName {
			return err
		}
		content, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		found[filepath.ToSlash(name)] = string(content)
		return err
	}))
	return found
}

func bring(t *testing.T, dir string, wanted map[string]File, force bool) ([]Change, error) {
	t.Helper()
	plan, err := Look(dir, Flux, wanted, force)
	if err != nil {
		return nil, err
	}
	return plan.Changes, plan.Write(t.Context())
}

func TestFolderIsBroughtUpToDate(t *testing.T) {
	dir := write(t, Flux, files("a", "1", "b/c", "2", "b/d/e", "3"))
	put(t, dir, "b/mine", "mine")
	changes, err := bring(t, dir, files("a", "new", "b/c", "2", "f", "4"), false)
	require.NoError(t, err)
	require.Equal(t, []Change{{"update", "a"}, {"delete", "b/d/e"}, {"create", "f"}}, changes)
	require.Equal(t, map[string]string{"a": "new", "b/c": "2", "b/mine": "mine", "f": "4"}, tree(t, dir))
	require.NoDirExists(t, filepath.Join(dir, "b", "d"), "nothing is left in it")

	changes, err = bring(t, dir, files("a", "new", "b/c", "2", "f", "4"), false)
	require.NoError(t, err)
	require.Empty(t, changes)
}

func TestChangedFilesAreRefusedAllAtOnce(t *testing.T) {
	dir := write(t, Flux, files("a", "1", "b", "2", "c", "3", "same", "4"))
	put(t, dir, "a", "mine")
	put(t, dir, "b", "mine too")
	put(t, dir, "d", "in the way")
	put(t, dir, "same", "new")
	before := tree(t, dir)
	wanted := files("a", "new", "c", "new", "d", "new", "same", "new")
	_, err := bring(t, dir, wanted, false)
	require.ErrorContains(t, err, filepath.Join(dir, "a")+": was changed since hcchart wrote it; put your change into own/, or say --force, which sets yours aside as a.orig")
	require.ErrorContains(t, err, filepath.Join(dir, "b")+": was changed", "which nobody needs any more")
	require.ErrorContains(t, err, filepath.Join(dir, "d")+": isn't hcchart's")
	require.NotContains(t, err.Error(), filepath.Join(dir, "same"))
	require.Equal(t, before, tree(t, dir))

	changes, err := bring(t, dir, wanted, true)
	require.NoError(t, err)
	require.Equal(t, []Change{{"keep", "a"}, {"update", "a"}, {"keep", "b"}, {"delete", "b"}, {"update", "c"}, {"keep", "d"}, {"update", "d"}}, changes)
	require.Equal(t, map[string]string{"a": "new", "a.orig": "mine", "b.orig": "mine too", "c": "new", "d": "new", "d.orig": "in the way", "same": "new"}, tree(t, dir))

	put(t, dir, "a", "again")
	_, err = bring(t, dir, wanted, true)
	require.NoError(t, err)
	require.Equal(t, "again", tree(t, dir)["a.orig.2"], "what was set aside stays")
	require.Equal(t, "mine", tree(t, dir)["a.orig"])
}

func TestLineEndsThatGitTurnedAreNoChange(t *testing.T) {
	dir := write(t, Flux, files("a", "1\n2\n"))
	put(t, dir, "a", "1\r\n2\r\n")
	_, err := bring(t, dir, files("a", "3\n"), false)
	require.NoError(t, err)
	require.Equal(t, "3\n", tree(t, dir)["a"])
}

func TestFileThatAPersonGoesOnWithIsMadeOnce(t *testing.T) {
	wanted := map[string]File{"own/k": {Content: []byte("template"), Once: true}}
	dir := write(t, Flux, wanted)
	put(t, dir, "own/k", "mine")
	changes, err := bring(t, dir, wanted, true)
	require.NoError(t, err)
	require.Empty(t, changes)
	changes, err = bring(t, dir, files("a", "1"), false)
	require.NoError(t, err)
	require.Equal(t, []Change{{"create", "a"}}, changes, "nor is it removed")
	require.Equal(t, "mine", tree(t, dir)["own/k"])
}

func TestFolderOfSomethingElseIsRefused(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, ".git/HEAD", "ref")
	_, err := Look(dir, Flux, files("a", "1"), true)
	require.NoError(t, err, "an empty clone")
	put(t, dir, "README.md", "mine")
	_, err = Look(dir, Flux, files("a", "1"), true)
	require.ErrorContains(t, err, "isn't empty and holds nothing of hcchart gitops; name a new folder")

	dir = write(t, ArgoCD, files("a", "1"))
	_, err = Look(dir, Flux, files("a", "1"), true)
	require.ErrorContains(t, err, "was made for another tool than flux")

	put(t, dir, listName, "# What hcchart gitops flux wrote, so that it never overwrites what you change.\nabc  ../../etc/passwd\n")
	_, err = Look(dir, Flux, files("a", "1"), true)
	require.ErrorContains(t, err, "isn't a line of it")

	put(t, dir, "file", "")
	_, err = Look(filepath.Join(dir, "file"), Flux, files("a", "1"), true)
	require.Error(t, err)
}

func TestNothingIsWrittenThroughALink(t *testing.T) {
	outside := t.TempDir()
	put(t, outside, "a", "theirs")
	dir := write(t, Flux, files("b/a", "1", "c", "2"))
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "b")))
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, "b")))
	_, err := bring(t, dir, files("b/a", "new", "c", "2"), true)
	require.Error(t, err)
	require.NoError(t, os.Remove(filepath.Join(dir, "c")))
	require.NoError(t, os.Symlink(filepath.Join(outside, "a"), filepath.Join(dir, "c")))
	_, err = bring(t, dir, files("c", "new"), true)
	require.ErrorContains(t, err, "not a regular file")
	require.Equal(t, map[string]string{"a": "theirs"}, tree(t, outside))
}

// Whatever was written when a run was interrupted, the next one knows its own
// files, also when they have to become something else meanwhile.
func TestInterruptedRunIsTakenUp(t *testing.T) {
	dir := write(t, Flux, files("a", "1", "b", "1", "c", "1"))
	plan, err := Look(dir, Flux, files("a", "2", "b", "2"), false)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, plan.Write(ctx), context.Canceled)
	put(t, dir, "a", "2") // as far as it came
	_, err = bring(t, dir, files("a", "3", "b", "3"), false)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"a": "3", "b": "3"}, tree(t, dir))
}

func TestUpdateBotMayMoveAPinForwards(t *testing.T) {
	release := func(version, rest string) string {
		return "ref:\n    tag: " + version + " # an update bot may move it\n" + rest
	}
	for name, test := range map[string]struct{ moved, wanted, problem string }{
		"hcchart follows":     {"0.2.0", "0.2.0", ""},
		"hcchart is ahead":    {"0.2.0", "0.3.0", ""},
		"hcchart is behind":   {"0.10.0", "0.9.0", "is at version 0.10.0 of the chart, and this hcchart writes 0.9.0; take the hcchart of that version"},
		"no version any more": {"latest", "0.2.0", `"latest" is no version of a chart`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := write(t, Flux, files("r.yaml", release("0.1.0", "old\n")))
			put(t, dir, "r.yaml", release(test.moved, "old\n"))
			_, err := bring(t, dir, files("r.yaml", release(test.wanted, "new\n")), false)
			if test.problem != "" {
				require.ErrorContains(t, err, test.problem)
				return
			}
			require.NoError(t, err)
			require.Equal(t, release(test.wanted, "new\n"), tree(t, dir)["r.yaml"])
		})
	}
	dir := write(t, Flux, files("r.yaml", release("0.1.0", "old\n")))
	put(t, dir, "r.yaml", release("0.2.0", "mine\n"))
	_, err := bring(t, dir, files("r.yaml", release("0.3.0", "new\n")), false)
	require.ErrorContains(t, err, "was changed since")
}

func TestFileThatSaysTheSameStays(t *testing.T) {
	serves := func(content []byte) bool { return strings.HasPrefix(string(content), "sealed ") }
	wanted := func(content string) map[string]File {
		return map[string]File{"secret": {Content: []byte(content), Private: true, Serves: serves}}
	}
	dir := write(t, Flux, wanted("sealed 1"))
	info, err := os.Stat(filepath.Join(dir, "secret"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	changes, err := bring(t, dir, wanted("sealed 2"), false)
	require.NoError(t, err)
	require.Empty(t, changes)
	require.Equal(t, "sealed 1", tree(t, dir)["secret"])
	serves = func([]byte) bool { return false }
	changes, err = bring(t, dir, wanted("sealed 3"), false)
	require.NoError(t, err)
	require.Equal(t, []Change{{"update", "secret"}}, changes)
}
