package main

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

// Every command that a page or the help of a command shows exists, takes the
// flags and, where it is one to be typed, that many arguments.
func TestCommandsInDocumentsExist(t *testing.T) {
	pages := []string{"../../README.md", "../../CONTRIBUTING.md"}
	for _, folder := range []string{"docs", "charts"} {
		require.NoError(t, filepath.WalkDir(filepath.Join("../..", folder), func(path string, _ fs.DirEntry, err error) error {
			if filepath.Ext(path) == ".md" && filepath.Base(path) != "hcchart.md" { // that is the help, with usage lines
				pages = append(pages, path)
			}
			return err
		}))
	}
	found := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		typed, mentioned := commandsIn(string(text))
		for _, line := range typed {
			require.NoError(t, exists(line, true), "%s: %s", page, line)
		}
		for _, line := range mentioned {
			require.NoError(t, exists(line, false), "%s: %s", page, line)
		}
		found += len(typed) + len(mentioned)
	}
	require.Greater(t, found, 50, "%d pages", len(pages))

	var visit func(*cobra.Command)
	visit = func(command *cobra.Command) {
		typed, _ := commandsIn("```\n" + command.Example + "\n```")
		for _, line := range typed {
			require.NoError(t, exists(line, true), "%s --help: %s", command.CommandPath(), line)
		}
		for _, child := range command.Commands() {
			visit(child)
		}
	}
	visit(newRootCommand(&app{in: strings.NewReader(""), out: io.Discard, err: io.Discard}))
}

func TestCommandsAreFoundInPages(t *testing.T) {
	typed, mentioned := commandsIn("`hcchart up --dry-run` or `--force`, ``hcchart\ndown``:\n\n```sh\nsudo hcchart a | hcchart b > c && hcchart d \\\n  --e 'f g'   # hcchart h\ngrep hcchart\n```\n\n````\n$ hcchart i\nhcchart: said\n````\n")
	require.Equal(t, []string{"hcchart a", "hcchart b", "hcchart d --e 'f g'", "hcchart i"}, typed)
	require.Equal(t, []string{"hcchart up --dry-run", "hcchart down"}, mentioned)
	require.NoError(t, exists("hcchart images save ./web --arch 'arm64'", true))
	require.NoError(t, exists("hcchart gitops argocd|flux", false))
	require.ErrorContains(t, exists("hcchart image save", true), `unknown command "image"`)
	require.ErrorContains(t, exists("hcchart images saved", false), `unknown command "saved"`)
	require.ErrorContains(t, exists("hcchart images save --archs arm64", false), "unknown flag: --archs")
	require.ErrorContains(t, exists("hcchart images save a b", true), "at most 1 arg")
}

var (
	fence  = regexp.MustCompile("(?ms)^ *(````?)(\\w*)\n(.*?)^ *````?$")
	inline = regexp.MustCompile("``?(hcchart\\s[^`]+)``?")
	// What stands between quotes is one word; what ends a command stands alone.
	word = regexp.MustCompile(`(?:'[^']*'|"[^"]*"|[^\s'"|&;#<>()])+|[|&;#<>()]`)
)

// commandsIn are the calls of hcchart in the blocks of a page, and those that its
// text mentions.
func commandsIn(page string) (typed, mentioned []string) {
	for _, block := range fence.FindAllStringSubmatch(page, -1) {
		for line := range strings.SplitSeq(strings.ReplaceAll(block[3], "\\\n", ""), "\n") {
			line = strings.TrimPrefix(strings.TrimSpace(line), "$ ")
			var command []string
			for _, w := range append(word.FindAllString(line, -1), ";") {
				if !strings.Contains("|&;#<>()", w) {
					command = append(command, w)
					continue
				}
				if len(command) > 0 && command[0] == "sudo" {
					command = command[1:]
				}
				if len(command) > 0 && command[0] == "hcchart" {
					typed = append(typed, strings.Join(command, " "))
				}
				if command = nil; w == "#" {
					break
				}
				if strings.Contains("<>", w) {
					command = []string{w} // a file follows
				}
			}
		}
	}
	for _, m := range inline.FindAllStringSubmatch(fence.ReplaceAllString(page, ""), -1) {
		mentioned = append(mentioned, strings.Join(strings.Fields(m[1]), " "))
	}
	return typed, mentioned
}

// exists looks a call up; one that is whole has all its arguments.
func exists(line string, whole bool) error {
	words := word.FindAllString(line, -1)
	if i := slices.IndexFunc(words, func(w string) bool { return strings.Contains("|&;#<>()", w) }); i >= 0 {
		words = words[:i] // argocd|flux
	}
	for i, w := range words {
		words[i] = strings.Trim(w, `'"`)
	}
	command, rest, err := newRootCommand(&app{in: strings.NewReader(""), out: io.Discard, err: io.Discard}).Find(words[1:])
	if err != nil {
		return err
	}
	if err := command.ParseFlags(rest); err != nil {
		return err
	}
	if whole || command.HasSubCommands() {
		return command.ValidateArgs(command.Flags().Args())
	}
	return nil
}
