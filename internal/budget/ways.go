package budget

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tmorin/homecloud/internal/chart"
	"github.com/tmorin/homecloud/internal/config"
)

// Way is something that the cluster file can say so that a board needs less.
type Way struct {
	Board string `json:"board"`
	Write string `json:"write"` // what to write in the cluster file
	Frees Bytes  `json:"frees"` // on the board
	// Enough is set when the board has what it needs with this alone.
	Enough bool `json:"enough"`
}

// Ways finds what can be switched off for the boards that are too small, the
// most for each first. What frees nothing there is left out: every way is tried
// by rendering the cluster file that it leads to.
func (b *Budget) Ways(cluster *config.Cluster, render func(*config.Cluster) ([]chart.Document, error)) ([]Way, error) {
	ways := []Way{}
	for i, board := range b.Boards {
		if board.Verdict != TooSmall {
			continue
		}
		var own []Way
		for _, change := range changes(cluster, board.Name) {
			documents, err := render(change.to)
			if err != nil {
				return nil, fmt.Errorf("with %s: %w", change.write, err)
			}
			after, err := Count(change.to, documents)
			if err != nil {
				return nil, err
			}
			if frees := board.Needs - after.Boards[i].Needs; frees > 0 {
				own = append(own, Way{board.Name, change.write, frees, after.Boards[i].Verdict != TooSmall})
			}
		}
		slices.SortStableFunc(own, func(x, y Way) int { return cmp.Compare(y.Frees, x.Frees) })
		ways = append(ways, own...)
	}
	return ways, nil
}

// change is another cluster file.
type change struct {
	write string
	to    *config.Cluster
}

// changes are the cluster files that may need less of a board.
func changes(cluster *config.Cluster, board string) (list []change) {
	add := func(write string, edit func(c *config.Cluster)) {
		to := *cluster
		edit(&to)
		list = append(list, change{write, &to})
	}
	for _, name := range slices.Sorted(maps.Keys(cluster.Services)) {
		if cluster.Services[name].Enabled {
			add("services."+name+".enabled: false", func(c *config.Cluster) {
				c.Services = maps.Clone(c.Services)
				delete(c.Services, name)
			})
		}
	}
	p := cluster.Platform
	if p.Monitoring.Profile == "full" {
		add("platform.monitoring.profile: lite", func(c *config.Cluster) { c.Platform.Monitoring.Profile = "lite" })
	}
	if p.Monitoring.Profile != "none" {
		add("platform.monitoring.profile: none", func(c *config.Cluster) { c.Platform.Monitoring.Profile = "none" })
	}
	if p.Dashboards.Headlamp {
		add("platform.dashboards.headlamp: false", func(c *config.Cluster) { c.Platform.Dashboards.Headlamp = false })
	}
	if p.Dashboards.Portainer {
		add("platform.dashboards.portainer: false", func(c *config.Cluster) { c.Platform.Dashboards.Portainer = false })
	}
	if p.Storage.Provider == "longhorn" {
		add("platform.storage.provider: local-path", func(c *config.Cluster) { c.Platform.Storage.Provider = "local-path" })
	}
	if shares := sharesWith(cluster, func(s config.Share) bool { return s.NFS.Enabled }); shares != "" {
		add("dnas.shares[].nfs.enabled: false for "+shares, closeDoor(func(s *config.Share) { s.NFS.Enabled = false }))
	}
	if shares := sharesWith(cluster, func(s config.Share) bool { return s.SMB.Enabled }); shares != "" {
		add("dnas.shares[].smb.enabled: false for "+shares, closeDoor(func(s *config.Share) { s.SMB.Enabled = false }))
	}
	// A board without the NAS; the others keep the shares.
	if others := without(cluster.DNAS.Nodes, board); len(others) > 0 && len(others) < len(cluster.DNAS.Nodes) {
		write := "dnas.nodes: [" + strings.Join(others, ", ") + "]"
		alone := len(others) == 1 && cluster.Network.VIP != nil
		if alone { // the address has nowhere to move to then
			write += " and no network.vip"
		}
		add(write, func(c *config.Cluster) {
			c.DNAS.Nodes = others
			if alone {
				c.Network.VIP = nil
			}
		})
	}
	if cluster.Network.VIP != nil {
		add("no network.vip", func(c *config.Cluster) { c.Network.VIP = nil })
	}
	// One server keeps Kubernetes' state in a file; it doesn't survive that board.
	if all := servers(cluster); len(all) > 1 {
		add("nodes[].role: agent for "+listed(all[1:]), func(c *config.Cluster) {
			c.Nodes = slices.Clone(c.Nodes)
			for i := range c.Nodes {
				if c.Nodes[i].Name != all[0] {
					c.Nodes[i].Role = config.RoleAgent
				}
			}
		})
	}
	return list
}

func closeDoor(edit func(*config.Share)) func(*config.Cluster) {
	return func(c *config.Cluster) {
		c.DNAS.Shares = slices.Clone(c.DNAS.Shares)
		for i := range c.DNAS.Shares {
			edit(&c.DNAS.Shares[i])
		}
	}
}

// sharesWith names the shares in words; empty: there are none.
func sharesWith(cluster *config.Cluster, has func(config.Share) bool) string {
	var names []string
	for _, share := range cluster.DNAS.Shares {
		if has(share) {
			names = append(names, share.Name)
		}
	}
	if len(names) > 3 {
		return fmt.Sprintf("%d shares", len(names))
	}
	return listed(names)
}

func listed(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

func without(names []string, name string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == name })
}
