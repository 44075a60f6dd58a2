package values

import (
	"fmt"
	"slices"

	"github.com/tmorin/homecloud/internal/config"
)

// dnas are the values of charts/dnas that the cluster file decides, in the
// order of its values.yaml.
type dnas struct {
	Enabled   bool              `yaml:"enabled"`
	Cluster   string            `yaml:"cluster"`
	Disk      string            `yaml:"disk"`
	DataRoot  string            `yaml:"dataRoot"`
	StateRoot string            `yaml:"stateRoot"`
	Owner     owner             `yaml:"owner"`
	Discovery string            `yaml:"discovery"`
	LAN       []string          `yaml:"lan"`
	Nodes     map[string]node   `yaml:"nodes"`
	Users     map[string]user   `yaml:"users"`
	Devices   map[string]device `yaml:"devices"`
	Shares    map[string]share  `yaml:"shares"`
	Secrets   ensure            `yaml:"secrets"`
	Syncthing listener          `yaml:"syncthing"`
}

type (
	owner struct {
		UID int `yaml:"uid"`
		GID int `yaml:"gid"`
	}
	node struct {
		Address string `yaml:"address"`
	}
	user   struct{} // the name is all that a chart reads yet
	device struct {
		ID    string `yaml:"id"`
		Owner string `yaml:"owner"`
	}
	share struct {
		Access   map[string]string `yaml:"access"`
		Guest    string            `yaml:"guest"`
		SMB      smb               `yaml:"smb"`
		NFS      *nfs              `yaml:"nfs,omitempty"`
		Sync     *sync             `yaml:"sync,omitempty"`
		Versions string            `yaml:"versions"`
	}
	smb struct {
		Enabled     bool `yaml:"enabled"`
		TimeMachine bool `yaml:"timeMachine,omitempty"`
	}
	nfs struct {
		Enabled      bool     `yaml:"enabled"`
		Clients      []string `yaml:"clients,omitempty,flow"`
		Access       string   `yaml:"access"`
		Versions     []int    `yaml:"versions,flow"`
		TrustNetwork bool     `yaml:"trustNetwork,omitempty"`
	}
	sync struct {
		Devices []string `yaml:"devices,flow"`
	}
	ensure struct {
		Ensure bool `yaml:"ensure"`
	}
	listener struct {
		ListenPort int `yaml:"listenPort"`
	}
)

// serves says whether the cluster has a NAS at all.
func serves(c *config.Cluster) bool { return len(c.DNAS.Nodes) > 0 && len(c.DNAS.Shares) > 0 }

func dnasOf(c *config.Cluster) dnas {
	d := dnas{
		Enabled:   serves(c),
		Cluster:   c.Name,
		Disk:      c.DNAS.Disk,
		DataRoot:  config.DataRoot,
		StateRoot: config.StateRoot,
		Owner:     owner{c.DNAS.Owner.UID, c.DNAS.Owner.GID},
		Discovery: c.DNAS.Discovery,
		LAN:       texts(c.Network.LAN),
		Nodes:     map[string]node{},
		Users:     map[string]user{},
		Devices:   map[string]device{},
		Shares:    map[string]share{},
		Secrets:   ensure{false}, // they come from the secrets file
		Syncthing: listener{config.PortSyncthing},
	}
	for _, n := range c.DNASNodes() {
		d.Nodes[n.Name] = node{Address: n.Address}
	}
	for _, u := range c.Users {
		d.Users[u.Name] = user{}
	}
	for _, v := range c.Devices {
		d.Devices[v.Name] = device{ID: string(v.ID), Owner: v.Owner}
	}
	for _, s := range c.DNAS.Shares {
		d.Shares[s.Name] = shareOf(s)
	}
	return d
}

func shareOf(s config.Share) share {
	out := share{
		Access:   map[string]string{},
		Guest:    string(s.Guest),
		SMB:      smb{Enabled: s.SMB.Enabled, TimeMachine: s.SMB.TimeMachine},
		Versions: fmt.Sprintf("%dd", s.Versions.Days()),
	}
	for name, access := range s.Access {
		out.Access[name] = string(access)
	}
	if s.NFS.Enabled {
		out.NFS = &nfs{
			Enabled:      true,
			Clients:      texts(s.NFS.Clients),
			Access:       string(s.NFS.Access),
			Versions:     s.NFS.Versions,
			TrustNetwork: s.NFS.TrustNetwork,
		}
	}
	if len(s.Sync.Devices) > 0 {
		out.Sync = &sync{Devices: s.Sync.Devices}
	}
	return out
}

// platform are the values of charts/platform that the cluster file decides.
type platform struct {
	Enabled bool `yaml:"enabled"`
	VIP     vip  `yaml:"vip"`
}

type (
	vip struct {
		Enabled    bool                 `yaml:"enabled"`
		Address    string               `yaml:"address"`
		RouterID   int                  `yaml:"routerID,omitempty"`
		Candidates map[string]candidate `yaml:"candidates"`
		Checks     map[string]check     `yaml:"checks"`
	}
	candidate struct {
		Address   string `yaml:"address"`
		Interface string `yaml:"interface"`
		Priority  int    `yaml:"priority"`
	}
	check struct {
		TCP string `yaml:"tcp"`
	}
)

// lowestPriority is the VRRP priority of the last candidate. Each one before
// it has one more, so that no two nodes draw.
const lowestPriority = 100

func platformOf(c *config.Cluster) platform {
	if c.Network.VIP == nil {
		return platform{}
	}
	nodes := c.Nodes
	if serves(c) {
		nodes = c.DNASNodes() // the address is where the shares are
	}
	v := vip{
		Enabled:    true,
		Address:    c.Network.VIP.Address.String(),
		RouterID:   c.Network.VIP.RouterID,
		Candidates: map[string]candidate{},
		Checks:     map[string]check{},
	}
	for i, n := range nodes {
		v.Candidates[n.Name] = candidate{Address: n.Address, Interface: n.Interface, Priority: lowestPriority + len(nodes) - 1 - i}
	}
	if serves(c) {
		if slices.ContainsFunc(c.DNAS.Shares, func(s config.Share) bool { return s.SMB.Enabled }) {
			v.Checks["smb"] = check{TCP: fmt.Sprintf("127.0.0.1:%d", config.PortSMB)}
		}
		if slices.ContainsFunc(c.DNAS.Shares, func(s config.Share) bool { return s.NFS.Enabled }) {
			v.Checks["nfs"] = check{TCP: fmt.Sprintf("127.0.0.1:%d", config.PortNFS)}
		}
	}
	return platform{Enabled: true, VIP: v}
}

func texts[T fmt.Stringer](list []T) []string {
	out := make([]string, 0, len(list))
	for _, v := range list {
		out = append(out, v.String())
	}
	return out
}
