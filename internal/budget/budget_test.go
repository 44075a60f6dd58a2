package budget

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/require"

	"github.com/tmorin/homecloud/internal/chart"
	"github.com/tmorin/homecloud/internal/config"
)

var update = flag.Bool("update", false, "rewrite what testdata/*.txtar expect")

// Each case is a cluster file, what was rendered, and what is counted where.
func TestCount(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			archive := txtar.Parse(text)
			cluster, err := config.Parse("homecloud.yaml", archive.Files[0].Data, nil)
			require.NoError(t, err)
			budget, err := Count(cluster, documents(archive.Files[1]))
			require.NoError(t, err)
			if *update {
				archive.Files[2].Data = []byte(show(budget))
				require.NoError(t, os.WriteFile(file, txtar.Format(archive), 0o644))
			}
			require.Equal(t, string(archive.Files[2].Data), show(budget))
		})
	}
}

func documents(file txtar.File) []chart.Document {
	return chart.SplitManifest("homecloud/charts/things/templates/all.yaml", string(file.Data))
}

// show leaves out k3s and the system, which are the same everywhere.
func show(b *Budget) string {
	var text strings.Builder
	line := func(p Part) {
		fmt.Fprintf(&text, "  %s: needs %s, at most %s, CPU %s", p.Name, p.Needs, p.Most, p.CPU)
		for _, flag := range []struct {
			is   bool
			text string
		}{{p.Unlimited, "no limit"}, {p.Elsewhere, "or elsewhere"}, {p.Ends, "for a while"}} {
			if flag.is {
				text.WriteString(", " + flag.text)
			}
		}
		text.WriteString("\n")
	}
	for _, board := range b.Boards {
		fmt.Fprintf(&text, "%s: %s\n", board.Name, board.Verdict)
		for _, p := range board.Parts[3:] {
			line(p)
		}
	}
	if len(b.Nowhere) > 0 {
		text.WriteString("nowhere\n")
	}
	for _, p := range b.Nowhere {
		line(p)
	}
	fmt.Fprintf(&text, "fits: %t\n", b.Fits())
	return text.String()
}

func TestK3sAndTheSystemAreCountedByRole(t *testing.T) {
	for _, test := range []struct {
		role string
		etcd bool
		want string
	}{
		{config.RoleServer, false, "k3s server 1.13 GiB, system 256 MiB, kept free 100 MiB"},
		{config.RoleServer, true, "k3s server, etcd 1.32 GiB, system 256 MiB, kept free 100 MiB"},
		{config.RoleAgent, true, "k3s agent 256 MiB, system 256 MiB, kept free 100 MiB"},
	} {
		var parts []string
		for _, part := range ownParts(test.role, test.etcd) {
			require.Equal(t, part.Needs, part.Most)
			parts = append(parts, part.Name+" "+part.Needs.String())
		}
		require.Equal(t, test.want, strings.Join(parts, ", "))
	}
}

func TestBalanceSaysHowABoardStands(t *testing.T) {
	for want, board := range map[string]Board{
		"needs 1 GiB, and what it has isn't known":                      {Needs: gibi},
		"needs 1 GiB of 2 GiB: 1 GiB left":                              {Needs: gibi, Most: gibi, Memory: 2 * gibi},
		"needs 1 GiB of 2 GiB, and may take 3 GiB":                      {Needs: gibi, Most: 3 * gibi, Memory: 2 * gibi},
		"needs 1 GiB of 2 GiB, and what has no limit may take the rest": {Needs: gibi, Most: gibi, Memory: 2 * gibi, Parts: []Part{{Chart: "x", Unlimited: true}}},
		"needs 1.50 GiB of 1 GiB: 512 MiB too much":                     {Needs: gibi + 512*mebi, Memory: gibi},
	} {
		board.judge()
		require.Equal(t, want, board.Balance())
	}
}

func TestWhatCannotBeReadIsAnErrorWithItsTemplate(t *testing.T) {
	for _, text := range []string{"kind: Deployment\nspec: {replicas: many}", "a: b: c"} {
		_, err := Count(&config.Cluster{}, []chart.Document{{Source: "mine/templates/web.yaml", Text: text}})
		require.ErrorContains(t, err, "mine/templates/web.yaml: ")
	}
}

// What can be switched off is found by trying; here, what a chart would render
// is one pod for each thing that is on.
func TestWaysNameTheFieldsThatFreeMemory(t *testing.T) {
	cluster, err := config.Load("../../examples/three-boards.yaml")
	require.NoError(t, err)
	for i := range cluster.Nodes {
		cluster.Nodes[i].Memory = config.Size(2300 * mebi)
	}
	cluster.Nodes[2].Memory = 0
	cluster.Services = map[string]config.Service{"nextcloud": {Enabled: true}, "idle": {Enabled: true}, "radicale": {}}
	cluster.Platform.Monitoring.Profile = "full"
	cluster.Platform.Dashboards = config.Dashboards{Headlamp: true, Portainer: true}
	cluster.Platform.Storage.Provider = "longhorn"
	render := func(c *config.Cluster) (documents []chart.Document, err error) {
		pod := func(name, node string, mib int) {
			documents = append(documents, chart.Document{Source: "homecloud/charts/x/templates/x.yaml", Text: fmt.Sprintf(
				`{kind: Deployment, metadata: {name: %s}, spec: {template: {spec: {nodeName: %s, containers: [{resources: {limits: {memory: %dMi}}}]}}}}`, name, node, mib)})
		}
		if c.Services["nextcloud"].Enabled {
			pod("nextcloud", "node-1", 400)
		}
		pod("monitoring", "node-1", map[string]int{"full": 300, "lite": 50, "none": 0}[c.Platform.Monitoring.Profile])
		for name, on := range map[string]bool{"headlamp": c.Platform.Dashboards.Headlamp, "portainer": c.Platform.Dashboards.Portainer} {
			if on {
				pod(name, "node-1", 60)
			}
		}
		if c.Platform.Storage.Provider == "longhorn" {
			pod("longhorn", "node-1", 200)
		}
		for _, node := range c.DNAS.Nodes {
			doors := 100
			for _, share := range c.DNAS.Shares {
				if share.NFS.Enabled {
					doors += 30
				}
				if share.SMB.Enabled {
					doors += 3
				}
			}
			pod("nas-"+node, node, doors)
		}
		if c.Network.VIP != nil {
			pod("vip", "node-1", 20)
		}
		return documents, nil
	}
	before, err := render(cluster)
	require.NoError(t, err)
	budget, err := Count(cluster, before)
	require.NoError(t, err)
	require.False(t, budget.Fits())
	ways, err := budget.Ways(cluster, render)
	require.NoError(t, err)
	var lines []string
	for _, way := range ways {
		lines = append(lines, fmt.Sprintf("%s: %s: %s %t", way.Board, way.Write, way.Frees, way.Enough))
	}
	require.Equal(t, []string{
		"node-1: services.nextcloud.enabled: false: 400 MiB false",
		"node-1: platform.monitoring.profile: none: 300 MiB false",
		"node-1: platform.monitoring.profile: lite: 250 MiB false",
		"node-1: platform.storage.provider: local-path: 200 MiB false",
		"node-1: nodes[].role: agent for node-2 and node-3: 189 MiB false",
		"node-1: dnas.nodes: [node-2] and no network.vip: 159 MiB false",
		"node-1: platform.dashboards.headlamp: false: 60 MiB false",
		"node-1: platform.dashboards.portainer: false: 60 MiB false",
		"node-1: dnas.shares[].nfs.enabled: false for music: 30 MiB false",
		"node-1: no network.vip: 20 MiB false",
		"node-1: dnas.shares[].smb.enabled: false for family, documents and music: 9 MiB false",
	}, lines)
	after, err := render(cluster)
	require.NoError(t, err)
	slices.SortFunc(before, func(a, b chart.Document) int { return strings.Compare(a.Text, b.Text) })
	slices.SortFunc(after, func(a, b chart.Document) int { return strings.Compare(a.Text, b.Text) })
	require.Equal(t, before, after, "trying leaves the cluster as it is")
}
