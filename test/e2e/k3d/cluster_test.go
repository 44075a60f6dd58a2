package main

import (
	"testing"

	"github.com/k3d-io/k3d/v5/pkg/config"
	"github.com/k3d-io/k3d/v5/pkg/runtimes"
	k3d "github.com/k3d-io/k3d/v5/pkg/types"
	"github.com/stretchr/testify/require"
)

// k3d itself has to read the configuration as it is meant; no Docker is needed for that.
func TestConfig(t *testing.T) {
	simple := cluster{name: "family", boards: 2, disks: "/somewhere/disks"}.config(6550)
	require.NoError(t, config.ProcessSimpleConfig(&simple))
	full, err := config.TransformSimpleToClusterConfig(t.Context(), runtimes.SelectedRuntime, simple, "")
	require.NoError(t, err)
	full, err = config.ProcessClusterConfig(*full)
	require.NoError(t, err)

	roles := map[k3d.Role]int{}
	for _, node := range full.Nodes {
		roles[node.Role]++
		require.Equal(t, k3sImage, node.Image)
		if node.Role == k3d.AgentRole {
			require.Contains(t, node.Volumes, "/somewhere/disks:/disks")
		}
	}
	require.Equal(t, map[k3d.Role]int{k3d.ServerRole: 1, k3d.AgentRole: 2}, roles)
	require.Equal(t, "6550", full.KubeAPI.Binding.HostPort)
}

func TestUsage(t *testing.T) {
	for _, arguments := range [][]string{{}, {"up"}, {"up", "--disks", "d", "--boards", "0"}, {"kubeconfig"}, {"load"}, {"sideways"}, {"down", "twice"}} {
		require.ErrorContains(t, run(t.Context(), arguments), "usage:", "%v", arguments)
	}
}
