package config

import (
	"fmt"
	"path"
	"path/filepath"
	"strings"
)

// Paths on every board. The charts get them as values, hostprep writes them.
const (
	// DataRoot is where the data file systems are mounted, one directory each.
	DataRoot = "/srv/homecloud"
	// StateRoot holds what daemons remember, on the system disk: a daemon's
	// database must outlive the disk that it describes.
	StateRoot = "/var/lib/homecloud"

	// SentinelFile marks an adopted disk, at the top of its file system.
	SentinelFile = ".homecloud-disk"
	// ProbeDirectory is where the gate tries to write.
	ProbeDirectory = ".homecloud-probe"
	// SessionFile, in it, names the last run of Syncthing on the disk.
	SessionFile = "session"
	// SharesDirectory holds one directory per share.
	SharesDirectory = "shares"
	// InboxDirectory holds one directory per camera.
	InboxDirectory = "inbox"
	// SnapshotsDirectory holds the read-only snapshots; never exported.
	SnapshotsDirectory = ".snapshots"
)

// DiskPath is where the file system of a disk is mounted.
func DiskPath(disk string) string { return path.Join(DataRoot, disk) }

// SharePath is the directory of a share.
func SharePath(disk, share string) string {
	return path.Join(DataRoot, disk, SharesDirectory, share)
}

// DefaultDisk is the disk that dnas uses unless the file names another one.
const DefaultDisk = "data"

// DefaultOwner is the uid and the gid of every file of a share.
const DefaultOwner = 2000

// NodeLabel is "true" on the nodes of the NAS.
const NodeLabel = "homecloud/dnas"

// Port is a listening port on the boards' own network.
type Port struct {
	Name     string
	Number   int
	Protocol string // tcp or udp
}

// Ports is what the boards listen on, on the host network: one table for the
// daemons, the probes and the firewall.
var Ports = []Port{
	{"smb", PortSMB, "tcp"},
	{"nfs", PortNFS, "tcp"},
	{"syncthing", PortSyncthing, "tcp"},
	{"accounts", PortAccounts, "tcp"},
	{"syncthing-discovery", PortSyncthingDiscovery, "udp"},
	{"ws-discovery", PortWSDiscovery, "udp"},
	{"ws-discovery-http", PortWSDiscoveryHTTP, "tcp"},
}

// The numbers of Ports. ProtocolVRRP is an IP protocol, not a port.
const (
	PortSMB                = 445
	PortNFS                = 2049
	PortSyncthing          = 22000
	PortAccounts           = 22001
	PortSyncthingDiscovery = 21027
	PortWSDiscovery        = 3702
	PortWSDiscoveryHTTP    = 5357
	ProtocolVRRP           = 112
)

// The releases that `hcchart up` makes, each in the namespace of its own name.
const (
	Release         = "homecloud"
	PlatformRelease = "homecloud-platform"
)

// Fullname is the name of a chart's objects: one rule without exceptions.
func Fullname(release, chart string) string { return release + "-" + chart }

// SyncthingSecret is the Secret with the identity of a node: cert.pem, key.pem.
func SyncthingSecret(release, node string) string {
	return Fullname(release, "dnas") + "-syncthing-" + node
}

// PeersSecret is the Secret with the device ID of each node, and apiKey.
func PeersSecret(release string) string { return Fullname(release, "dnas") + "-syncthing-peers" }

// UsersSecret is the Secret with the password of each user.
func UsersSecret(release string) string { return release + "-users" }

// FolderID is the Syncthing folder of a share. It starts with the cluster's
// name so that two homes can pair.
func FolderID(cluster, share string) string { return cluster + "-" + share }

// SecretAPIKey names the key of Syncthing's REST API in the secrets file.
const SecretAPIKey = "syncthing.apiKey"

// SecretUser names a user's password in the secrets file.
func SecretUser(user string) string { return "users." + user }

// SecretCertificate names a node's Syncthing certificate in the secrets file.
func SecretCertificate(node string) string { return fmt.Sprintf("syncthing.%s.cert", node) }

// SecretKey names a node's Syncthing key in the secrets file.
func SecretKey(node string) string { return fmt.Sprintf("syncthing.%s.key", node) }

// LockPath is the lock file beside a cluster file: homecloud.lock.yaml beside
// homecloud.yaml, and in the current directory for standard input.
func LockPath(cluster string) string { return beside(cluster, "lock") }

// SecretsPath is the secrets file beside a cluster file, named as LockPath
// names the lock.
func SecretsPath(cluster string) string { return beside(cluster, "secrets") }

func beside(cluster, kind string) string {
	if cluster == "-" {
		cluster = "homecloud.yaml"
	}
	extension := filepath.Ext(cluster)
	if extension != ".yaml" && extension != ".yml" {
		extension = ""
	}
	base := strings.TrimSuffix(cluster, extension)
	return base + "." + kind + ".yaml"
}
