// Package config is homecloud.yaml: it decodes the versioned file strictly,
// fills what the file leaves out, validates it with positions, and offers one
// internal type to everything else. Names, paths and ports that the boards and
// the charts share are its constants. It knows nothing of Kubernetes, Helm or
// SSH, and does no I/O but reading the two files.
package config

import (
	"net/netip"
	"slices"
)

// Cluster is the whole of homecloud.yaml and its lock, defaulted and valid.
// Its fields carry the names of the file.
type Cluster struct {
	Name     string
	Network  Network
	OS       OS
	Nodes    []Node
	K3s      K3s
	Users    []User
	Devices  []Device
	DNAS     DNAS
	Platform Platform
	Services map[string]Service
	Backup   Backup

	// Warnings are what a person should know about a valid file.
	Warnings []Finding
}

// Network is the home's network. Subnet and Gateway are zero when neither the
// file nor the lock knows them.
type Network struct {
	Domain      string
	Subnet      netip.Prefix
	Gateway     netip.Addr
	Nameservers []netip.Addr
	VIP         *VIP           // nil: none
	LAN         []netip.Prefix // who may use SMB, NFS, SSH, the API; never empty
	Encryption  string
}

// VIP is the address that follows the healthy node.
type VIP struct {
	Address  netip.Addr
	RouterID int
}

// OS is what a board's system must be. It is for hostprep.
type OS struct {
	Timezone  string
	Swap      string
	Hardening string
	Hold      []string
	Updates   Updates
	SSH       SSH
}

// Updates says what the boards install by themselves. Reboot is "never" or a
// window such as "03:00-05:00".
type Updates struct {
	Security bool
	Reboot   string
}

// SSH is how a board is reached.
type SSH struct {
	User           string
	Port           int
	IdentityFile   string
	AuthorizedKeys []string
}

// Roles of a node.
const (
	RoleServer = "server"
	RoleAgent  = "agent"
)

// Node is a board. Address is an IPv4 address whenever the file or the lock
// knows one; on a cluster of one board it may stay the host name of the file.
type Node struct {
	Name      string
	Address   string
	Hostname  string // the name that the file wrote instead of an address, or empty
	Role      string
	Interface string // empty when unknown; known on every node when there is a VIP
	Board     string
	Arch      string // empty when unknown
	Memory    Size   // 0 when unknown
	Disks     []Disk
	OS        OS // the cluster's, with what this node overrides
}

// IP is the node's address, invalid while it is only known by name.
func (n Node) IP() netip.Addr {
	address, err := netip.ParseAddr(n.Address)
	if err != nil {
		return netip.Addr{}
	}
	return address
}

// Disk finds a disk of the node.
func (n Node) Disk(name string) (Disk, bool) {
	i := slices.IndexFunc(n.Disks, func(d Disk) bool { return d.Name == name })
	if i < 0 {
		return Disk{}, false
	}
	return n.Disks[i], true
}

// Disk is a data disk: Device or UUID, never both.
type Disk struct {
	Name       string
	Device     string
	UUID       string
	Filesystem string // empty: whatever the disk with this UUID carries
	Format     string
	Encryption string
}

// K3s is for hostprep.
type K3s struct {
	Version   string // empty: the one this release was made for
	Artifacts string // empty: download
	Config    map[string]any
}

// User is a person: one account, the same name everywhere.
type User struct {
	Name        string
	DisplayName string // the name when the file gives none
	Email       string
	Admin       bool
	Quota       Size // 0: none
}

// Device is a Syncthing peer outside the cluster.
type Device struct {
	Name   string
	Owner  string
	ID     DeviceID
	Camera *Camera // nil: not a camera
}

// Camera is a one-way folder of pictures.
type Camera struct {
	Share string
	Path  string
}

// DNAS is the decentralised NAS.
type DNAS struct {
	Nodes     []string
	Disk      string
	Owner     Owner
	Discovery string // lan, internet or none
	Shares    []Share
}

// Owner owns every file of a share.
type Owner struct {
	UID int
	GID int
}

// Access is what somebody may do with a share.
type Access string

// The levels of access. AccessNone is a guest's only.
const (
	AccessNone  Access = "none"
	AccessRead  Access = "read"
	AccessWrite Access = "write"
)

// Share is a directory that people reach by several doors under one name.
type Share struct {
	Name     string
	Access   map[string]Access // by user
	Guest    Access            // AccessNone or AccessRead
	SMB      SMB
	NFS      NFS
	Sync     Sync
	Versions Duration // how long deleted and overwritten files come back; whole days
	Protect  *Protect // nil: no brake
}

// SMB is the share's Windows door.
type SMB struct {
	Enabled     bool
	TimeMachine bool
}

// NFS is the share's door for consoles and Unix machines.
type NFS struct {
	Enabled      bool
	Clients      []netip.Prefix
	Access       Access
	Versions     []int // 3, 4
	TrustNetwork bool
}

// Sync is the share's two-way copies outside the cluster, by device.
type Sync struct {
	Devices []string
}

// Protect is the brake: more losses than both limits within Per freeze a share.
type Protect struct {
	Losses  int
	Percent int
	Per     Duration
}

// Platform is what stands under the services.
type Platform struct {
	Ingress    Ingress
	TLS        TLS
	Storage    Storage
	Dashboards Dashboards
	Monitoring Monitoring
	Notify     Notify
}

// Ingress is the web's door.
type Ingress struct {
	Controller string
	ClassName  string
}

// TLS is where certificates come from.
type TLS struct {
	Mode      string
	Email     string
	Challenge string
	Provider  string
}

// Storage is what volumes are made of.
type Storage struct {
	Provider  string
	Replicas  int
	ClassName string
}

// Dashboards of the cluster.
type Dashboards struct {
	Headlamp  bool
	Portainer bool
}

// Monitoring of the cluster.
type Monitoring struct {
	Profile   string
	Retention Duration
}

// Notify says who is told.
type Notify struct {
	Ntfy    string
	Email   string
	Webhook string
}

// Service is a preset of charts/services with what the file overrides.
type Service struct {
	Enabled   bool
	Host      string
	Share     string
	Shares    []string
	Resources Resources
}

// Resources of a service; an empty string leaves the preset's.
type Resources struct {
	Requests ResourceList
	Limits   ResourceList
}

// ResourceList is an amount of processor and memory.
type ResourceList struct {
	CPU    string
	Memory string
}

// Backup of everything.
type Backup struct {
	Repositories []Repository
	Schedule     string
	Keep         Keep
	Drill        string
}

// Repository is a restic repository: Disk or URL.
type Repository struct {
	Name string
	Disk *RepositoryDisk
	URL  string
}

// RepositoryDisk is a disk of a node that holds backups.
type RepositoryDisk struct {
	Node string
	Name string
}

// Forever is a retention without end.
const Forever = -1

// Keep is how many backups stay, Forever for all.
type Keep struct {
	Daily, Weekly, Monthly, Yearly int
}

// Node finds a node by name.
func (c *Cluster) Node(name string) (Node, bool) {
	i := slices.IndexFunc(c.Nodes, func(n Node) bool { return n.Name == name })
	if i < 0 {
		return Node{}, false
	}
	return c.Nodes[i], true
}

// DNASNodes are the nodes of the NAS, in the order of dnas.nodes.
func (c *Cluster) DNASNodes() []Node {
	nodes := make([]Node, 0, len(c.DNAS.Nodes))
	for _, name := range c.DNAS.Nodes {
		if node, ok := c.Node(name); ok {
			nodes = append(nodes, node)
		}
	}
	return nodes
}

// Share finds a share by name.
func (c *Cluster) Share(name string) (Share, bool) {
	i := slices.IndexFunc(c.DNAS.Shares, func(s Share) bool { return s.Name == name })
	if i < 0 {
		return Share{}, false
	}
	return c.DNAS.Shares[i], true
}

// FolderID is the Syncthing folder of a share.
func (c *Cluster) FolderID(share string) string { return FolderID(c.Name, share) }
