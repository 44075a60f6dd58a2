package secrets

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// These tests meet the real sops, bin/sops of this repository. Building it
// takes minutes, so that they wait for whoever has built it:
//
//	go build -C tools/sops -o ../../bin/sops github.com/getsops/sops/v3/cmd/sops
func sops(t *testing.T, folder string, arguments ...string) string {
	t.Helper()
	binary, err := filepath.Abs("../../bin/sops")
	require.NoError(t, err)
	if _, err := os.Stat(binary); err != nil {
		if os.Getenv("HOMECLOUD_REQUIRE_SOPS") != "" {
			t.Fatalf("%v; build it: go build -C tools/sops -o ../../bin/sops github.com/getsops/sops/v3/cmd/sops", err)
		}
		t.Skip("bin/sops is not built: make bin/sops")
	}
	command := exec.CommandContext(t.Context(), binary, arguments...)
	command.Dir = folder
	var stderr strings.Builder
	command.Stderr = &stderr
	out, err := command.Output()
	require.NoError(t, err, "sops %q: %s", arguments, stderr.String())
	return string(out)
}

func sopsFails(t *testing.T, folder string, arguments ...string) string {
	t.Helper()
	binary, _ := filepath.Abs("../../bin/sops")
	command := exec.CommandContext(t.Context(), binary, arguments...)
	command.Dir = folder
	out, err := command.CombinedOutput()
	require.Error(t, err)
	return string(out)
}

func value(t *testing.T, path, name string) string {
	t.Helper()
	f, err := Open(path)
	require.NoError(t, err)
	got, err := f.Get(name)
	require.NoError(t, err)
	return got
}

func TestSOPSReadsAndVerifiesWhatWeWrite(t *testing.T) {
	path := newFile(t)
	folder, name := filepath.Dir(path), filepath.Base(path)
	f, err := Open(path)
	require.NoError(t, err)
	sops(t, folder, "decrypt", name) // fails when the authentication code is wrong
	for _, secret := range f.Names() {
		want, err := f.Get(secret)
		require.NoError(t, err)
		got := sops(t, folder, "decrypt", "--extract", `["`+secret+`"]`, name)
		require.Equal(t, want, got)
	}

	// Its check is a real one: it refuses what we refuse.
	require.NoError(t, os.WriteFile(path, []byte(regexp.MustCompile(`(?m)^users\.bob:.*\n`).ReplaceAllString(read(t, path), "")), 0o600))
	require.Contains(t, sopsFails(t, folder, "decrypt", name), "MAC mismatch")
	_, err = Open(path)
	require.ErrorContains(t, err, "authentication code")
}

func TestFileGoesBackAndForthWithSOPS(t *testing.T) {
	path := newFile(t)
	folder, name := filepath.Dir(path), filepath.Base(path)
	alice := value(t, path, "users.alice")

	sops(t, folder, "set", name, `["users.bob"]`, `"set by sops"`)
	require.Equal(t, "set by sops", value(t, path, "users.bob"))

	require.NoError(t, Change(t.Context(), path, func(f *File) error { return f.Set(home(), "users.bob", "set by us: é \"'#") }))
	require.Equal(t, "set by us: é \"'#", sops(t, folder, "decrypt", "--extract", `["users.bob"]`, name))

	// A person edits with sops: a comment, a new value, one taken away.
	editor := filepath.Join(t.TempDir(), "editor.sh")
	require.NoError(t, os.WriteFile(editor, []byte("#!/bin/sh\n"+
		`sed -i -e '1i # written by hand' -e 's/^users.bob:.*/users.bob: "edited"  # asked for it/' -e '/^syncthing.apiKey/d' "$1"`+"\n"), 0o700))
	t.Setenv("EDITOR", editor)
	sops(t, folder, "edit", name)
	require.Equal(t, "edited", value(t, path, "users.bob"))

	report, err := Init(t.Context(), path, home(), InitOptions{})
	require.NoError(t, err)
	require.Equal(t, []string{"syncthing.apiKey"}, report.Generated)
	plain := sops(t, folder, "decrypt", name)
	require.Contains(t, plain, "# written by hand\n")
	require.Contains(t, plain, "# asked for it\n")

	// New keys on both sides, comments included.
	second, err := newIdentityFile(filepath.Join(t.TempDir(), "second.txt"), "")
	require.NoError(t, err)
	sops(t, folder, "rotate", "--in-place", "--add-age", second, name)
	require.Equal(t, alice, value(t, path, "users.alice"))
	require.NoError(t, Change(t.Context(), path, func(f *File) error { return f.RemoveRecipient(second) }))
	require.Equal(t, plain, sops(t, folder, "decrypt", name))
	require.Equal(t, alice, sops(t, folder, "decrypt", "--extract", `["users.alice"]`, name))

	require.NoError(t, Change(t.Context(), path, func(f *File) error { return f.Unset([]string{"users.bob"}) }))
	require.NotContains(t, sops(t, folder, "decrypt", name), "users.bob")
	sops(t, folder, "unset", name, `["users.alice"]`)
	f, err := Open(path)
	require.NoError(t, err)
	require.False(t, f.Has("users.alice"))
}

func TestFileThatSOPSMadeIsOurs(t *testing.T) {
	useTestIdentity(t)
	folder := t.TempDir()
	path := filepath.Join(folder, "homecloud.secrets.yaml")
	require.NoError(t, os.WriteFile(path, []byte("users.alice: from paper\n"), 0o600))
	sops(t, folder, "encrypt", "--in-place", "--age", FindKeyring().Own(), filepath.Base(path))
	report, err := Init(t.Context(), path, home(), InitOptions{})
	require.NoError(t, err)
	require.Equal(t, []string{"users.alice"}, report.Kept)
	require.Equal(t, "from paper", sops(t, folder, "decrypt", "--extract", `["users.alice"]`, path))
	certificate := sops(t, folder, "decrypt", "--extract", `["syncthing.node-1.cert"]`, path)
	require.Equal(t, value(t, path, "syncthing.node-1.cert"), certificate)
}

func TestWeWriteTheVersionThatWasProved(t *testing.T) {
	module, err := os.ReadFile("../../tools/sops/go.mod")
	require.NoError(t, err)
	require.Contains(t, string(module), "github.com/getsops/sops/v3 v"+sopsVersion)
}
