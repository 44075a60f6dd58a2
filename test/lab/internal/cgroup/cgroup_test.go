package cgroup

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// plan is what a machine's two files lead to.
type plan struct {
	Unified   bool
	Trees     []Hierarchy
	Ancestors []string
}

func TestTreesOfMachinesAreFound(t *testing.T) {
	machines, err := filepath.Glob("testdata/*/want.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, machines)
	for _, file := range machines {
		dir := filepath.Dir(file)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			read := func(name string) []byte {
				b, err := os.ReadFile(filepath.Join(dir, name))
				require.NoError(t, err)
				return b
			}
			var want plan
			require.NoError(t, yaml.UnmarshalStrict(read("want.yaml"), &want))
			trees, err := Parse(string(read("cgroup")), string(read("mountinfo")))
			require.NoError(t, err)
			got := plan{Unified: OnlyUnified(trees), Trees: trees}
			if got.Unified {
				got.Ancestors = trees[0].Ancestors()
			}
			require.Equal(t, want, got)
		})
	}
}

func TestMachineWithoutCgroupsIsRefused(t *testing.T) {
	_, err := Parse("0::/\n", "25 1 0:23 / /proc rw - proc proc rw\n")
	require.ErrorContains(t, err, "no cgroup file system is mounted")
}

func TestOnlyMissingControllersAreAskedFor(t *testing.T) {
	require.Equal(t, "+cpuset +pids", missing("cpu io memory\n"))
	require.Empty(t, missing("cpuset cpu io memory pids\n"))
	require.Equal(t, "+cpu +cpuset +memory +pids", missing(""))
}

// The kernel's rules can't be had in a folder; that directories, limits and membership go
// where version 2 wants them can.
func TestGroupOfVersionTwoIsWrittenWhereTheKernelReads(t *testing.T) {
	top := t.TempDir()
	session := filepath.Join(top, "user.slice", "session-1.scope")
	require.NoError(t, os.MkdirAll(session, 0o755))
	// The session can't delegate (here: it has no such file), its slice can.
	for _, dir := range []string{top, filepath.Dir(session)} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("cpu memory"), 0o644))
	}
	tree := Hierarchy{Mount: top, Own: session}
	g, err := Plan([]Hierarchy{tree}, "lab-x-node-1")
	require.NoError(t, err)
	require.Equal(t, Group{Dirs: []string{filepath.Join(top, "user.slice", "lab-x-node-1")}, Unified: true}, g)
	asked, err := os.ReadFile(filepath.Join(top, "user.slice", "cgroup.subtree_control"))
	require.NoError(t, err)
	require.Equal(t, "+cpuset +pids", string(asked))
}
