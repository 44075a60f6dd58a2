package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each part of the page is a folder of its own; what isn't hcchart needs a
// cluster or a Git server.
func TestCommandsOfTheGitopsPageRun(t *testing.T) {
	page, err := os.ReadFile("../../docs/how-to/gitops.md")
	require.NoError(t, err)
	ran := 0
	for _, part := range strings.Split(string(page), "\n## ")[1:] {
		file := newHome(t)
		t.Chdir(filepath.Dir(file))
		for line := range strings.Lines(part) {
			words := strings.Fields(line)
			if !strings.HasPrefix(line, "hcchart ") || words[1] == "secrets" && words[2] == "apply" {
				continue
			}
			if words[1] == "gitops" { // beside the file, which isn't in the repository's folder
				line = strings.Replace(line, "--out .", "--out repository", 1)
			}
			output(t, strings.Fields(line)[1:]...)
			ran++
		}
	}
	require.Equal(t, 3, ran)
}
