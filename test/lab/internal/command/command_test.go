package command

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

func TestWrongUsageExitsWith64(t *testing.T) {
	for _, args := range [][]string{
		{"frobnicate"},
		{"up", "--nodes", "0"},
		{"up", "--nodes", "many"},
		{"up", "--memory", "2"},
		{"up", "--memory", "16Mi"},
		{"up", "--filesystem", "fat"},
		{"up", "now"},
		{"down", "--keep", "--all"},
		{"node"},
		{"node", "explode", "node-1"},
		{"node", "kill"},
		{"disk", "detach", "node-1"},
		{"net", "cut"},
		{"load"},
		{"lan"},
		{"exec", "node-1"},
		{"exec", "node-1", "--"},
		{"status", "-o", "xml"},
		{"--name", "Not_A_Name", "status"},
	} {
		require.Equal(t, exitUsage, Main(os.DirFS("."), args), "lab %v", args)
	}
}

func TestEveryCommandHasHelpWithAnExample(t *testing.T) {
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		require.NotEmpty(t, c.Short, c.CommandPath())
		require.Contains(t, c.Example, "  lab ", c.CommandPath())
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk((&app{}).root())
}

func TestLabThatIsNotUpIsSaidSo(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the lab is for root")
	}
	for _, args := range [][]string{
		{"kubeconfig"}, {"lan", "true"}, {"exec", "node-1", "true"}, {"node", "kill", "node-1"},
		{"net", "cut", "node-1"}, {"disk", "detach", "node-1", "data"}, {"api", "stop"},
	} {
		require.Equal(t, exitFailed, Main(os.DirFS("."), append([]string{"--dir", t.TempDir()}, args...)), "lab %v", args)
	}
	require.Zero(t, Main(os.DirFS("."), []string{"--dir", t.TempDir(), "status"}))
	require.Zero(t, Main(os.DirFS("."), []string{"--dir", t.TempDir(), "down"}), "there is nothing to do")
}

func TestLabThatNeverWasLeavesNothing(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the lab is for root")
	}
	for _, args := range [][]string{
		{"node", "kill", "node-1"}, {"node", "start", "node-1"}, {"net", "cut", "node-1"}, {"net", "heal", "node-1"},
		{"disk", "detach", "node-1", "data"}, {"disk", "attach", "node-1", "data"}, {"api", "stop"}, {"api", "start"},
		{"load", "archive.tar"}, {"kubeconfig"}, {"lan", "true"}, {"exec", "node-1", "true"}, {"status"}, {"down"}, {"down", "--keep"}, {"down", "--all"},
	} {
		dir := filepath.Join(t.TempDir(), "nope")
		Main(os.DirFS("."), append([]string{"--name", "nope", "--dir", dir}, args...))
		require.NoDirExists(t, dir, "lab %v", args)
	}
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "somebody's"), nil, 0o600))
	require.Equal(t, exitFailed, Main(os.DirFS("."), []string{"--dir", dir, "node", "kill", "node-1"}))
	require.FileExists(t, filepath.Join(dir, "somebody's"))
	require.NoFileExists(t, filepath.Join(dir, "lock"))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "lock"), nil, 0o600))
	require.Equal(t, exitFailed, Main(os.DirFS("."), []string{"--dir", dir, "node", "kill", "node-1"}))
	require.FileExists(t, filepath.Join(dir, "lock"), "it wasn't the lab's")
}
