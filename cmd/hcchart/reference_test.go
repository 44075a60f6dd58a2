package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

//go:generate go test -run ^(TestCommandReferenceIsCurrent|TestPicturesInDocumentsAreCurrent)$ . -update-reference

var updateReference = flag.Bool("update-reference", false, "write docs/reference/hcchart.md and docs/images anew")

// The reference of the commands is what their --help says.
func TestCommandReferenceIsCurrent(t *testing.T) {
	const path = "../../docs/reference/hcchart.md"
	root := newRootCommand(&app{in: strings.NewReader(""), out: io.Discard, err: io.Discard})
	var reference bytes.Buffer
	fmt.Fprint(&reference, `# hcchart

Generated from the commands' own help by `+"`make docs`"+`.

| exit code | meaning |
|---|---|
| 0 | done, or nothing to do |
| 1 | it could not be done, or the input is invalid |
| 2 | a command that compares found differences |
| 64 | wrong usage |
| 130, 143 | interrupted, terminated |
`)
	describe(&reference, root)
	if *updateReference {
		require.NoError(t, os.WriteFile(path, reference.Bytes(), 0o644))
	}
	committed, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(committed), reference.String(), "run `make docs`")
}

// The pictures in README and docs are what the commands draw of the examples.
func TestPicturesInDocumentsAreCurrent(t *testing.T) {
	for picture, command := range map[string]string{
		"three-boards.svg":        "diagram --file ../../examples/three-boards.yaml",
		"three-boards-memory.svg": "budget -o svg --file ../../examples/three-boards.yaml",
	} {
		path := filepath.Join("../../docs/images", picture)
		drawn := output(t, strings.Fields(command)...)
		if *updateReference {
			require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
			require.NoError(t, os.WriteFile(path, []byte(drawn), 0o644))
		}
		committed, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, string(committed), drawn, "run `make docs`")
	}
}

func describe(out io.Writer, command *cobra.Command) {
	for _, child := range command.Commands() {
		if child.Hidden || child.Name() == "help" || child.Name() == "completion" {
			continue
		}
		if child.Runnable() {
			fmt.Fprintf(out, "\n## %s\n\n```\n", child.CommandPath())
			child.SetOut(out)
			_ = child.Help()
			fmt.Fprint(out, "```\n")
		}
		describe(out, child)
	}
}

// Every command's help ends with examples, as the interface promises.
func TestEveryCommandHasExamples(t *testing.T) {
	var visit func(*cobra.Command)
	visit = func(command *cobra.Command) {
		if command.Runnable() && command.Name() != "help" && command.Parent().Name() != "completion" {
			require.NotEmpty(t, command.Example, command.CommandPath())
			var help bytes.Buffer
			command.SetOut(&help)
			require.NoError(t, command.Help())
			require.True(t, strings.HasSuffix(help.String(), "\n\nExamples:\n"+command.Example+"\n"), help.String())
		}
		for _, child := range command.Commands() {
			visit(child)
		}
	}
	root := newRootCommand(&app{in: strings.NewReader(""), out: io.Discard, err: io.Discard})
	for _, command := range root.Commands() {
		visit(command)
	}
}
