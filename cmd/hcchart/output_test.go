package main

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// newHome makes a cluster file and its secrets, and gives the file's path.
func newHome(t *testing.T) string {
	t.Helper()
	t.Setenv("HOME", t.TempDir())
	t.Setenv("KUBECONFIG", "absent")
	file := filepath.Join(t.TempDir(), "homecloud.yaml")
	output(t, "init", "--file", file, "--node", "box=box.local,disk=/dev/disk/by-id/usb-A", "--user", "alice")
	return file
}

// output runs a command that must succeed, and gives its standard output.
func output(t *testing.T, args ...string) string {
	t.Helper()
	var out, said bytes.Buffer
	root := newRootCommand(&app{in: strings.NewReader(""), out: &out, err: &said})
	root.SetArgs(args)
	require.NoError(t, root.ExecuteContext(t.Context()), &said)
	return out.String()
}

// printing are the commands whose result is what they print.
var printing = []string{
	"schema",
	"values", "values -o json",
	"values --chart dnas", "values --chart dnas -o json",
	"values --chart platform", "values --chart platform -o json",
	"render", "render dnas",
	"diagram", "budget", "budget -o json", "budget -o yaml", "budget -o svg",
	"validate", "validate -o json", "validate -o yaml",
	"secrets list", "secrets list -o json", "secrets list -o yaml",
	"secrets get users.alice", "secrets get syncthing.box.cert",
	"secrets recipients", "secrets render",
	"images list", "images list -o json", "images list -o yaml", "images list -o plain",
}

// Files that are made with > are compared and committed.
func TestPrintedDataEndsWithOneNewline(t *testing.T) {
	file := newHome(t)
	for _, command := range printing {
		text := output(t, append(strings.Fields(command), "--file", file)...)
		require.Regexp(t, `[^\n]\n$`, text, command)
	}
}

// A disk may be full, and a file that lacks half of its lines looks whole.
func TestOutputThatCannotBeWrittenIsAnError(t *testing.T) {
	file := newHome(t)
	full := errors.New("no space left on device")
	folder := t.TempDir()
	for _, command := range append(printing, "version", "package common --out "+folder) {
		root := newRootCommand(&app{in: strings.NewReader(""), out: writerFunc(func([]byte) (int, error) { return 0, full }), err: io.Discard})
		root.SetArgs(append(strings.Fields(command), "--file", file))
		require.ErrorIs(t, root.ExecuteContext(t.Context()), full, command)
	}
}
