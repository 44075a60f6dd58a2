// Package v1alpha1 is homecloud.yaml as it is written: its fields, words and
// constant defaults. The decoder and the JSON Schema are both made from these
// types: a doc comment is the description that editors show, and the tags are
//
//	required:"true"   the field must be written
//	default:"zram"    what a missing field means
//	enum:"none zram"  the words that are allowed
//	pattern:"^…$"     what the text looks like
//	example:"home"    shown in the reference, and when a required field is missing
//	minimum, maximum  bounds of a number
//
// A line "//schema:oneof a b" wants exactly one of two fields.
//
// A default that depends on other fields or on the boards is in the prose of
// the comment, and in package config.
package v1alpha1

// The header of a cluster file.
const (
	APIVersion = "homecloud/v1alpha1"
	Kind       = "Cluster"
)

// Cluster is a private cloud at home: its boards, its people, what it serves.
type Cluster struct {
	// Version of this file's format.
	APIVersion string `yaml:"apiVersion" required:"true" example:"homecloud/v1alpha1" enum:"homecloud/v1alpha1"`
	// What this file describes.
	Kind string `yaml:"kind" required:"true" example:"Cluster" enum:"Cluster"`
	// Name of the cloud. It is part of what the disks and the synchronised folders remember: choose it once.
	Name string `yaml:"name" required:"true" example:"home" pattern:"^[a-z0-9]([-a-z0-9]{0,29}[a-z0-9])?$"`
	// The home's network.
	Network Network `yaml:"network"`
	// What every board's system must be; a node may override each field under its own os. For hostprep.
	OS OS `yaml:"os"`
	// The boards.
	Nodes []Node `yaml:"nodes" required:"true" example:"[{name: box, address: 192.168.1.51, …}]"`
	// The Kubernetes distribution. For hostprep.
	K3s K3s `yaml:"k3s"`
	// The people: one account each, the same name on every service.
	Users []User `yaml:"users" required:"true" example:"[{name: alice, admin: true}]"`
	// Syncthing peers outside the cluster: phones, laptops, a friend's homecloud.
	Devices []Device `yaml:"devices"`
	// The decentralised NAS.
	DNAS DNAS `yaml:"dnas"`
	// What stands under the services.
	Platform Platform `yaml:"platform"`
	// The services by name; any preset of charts/services.
	Services map[string]Service `yaml:"services"`
	// Backups. 3-2-1: a warning stays until one of the repositories is outside the house.
	Backup Backup `yaml:"backup"`
}

// Network is the home's network.
type Network struct {
	// Services get <service>.<domain>; local: names by mDNS, such as cloud.local.
	Domain string `yaml:"domain" default:"local" pattern:"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"`
	// The network that the boards are in (IPv4). Default: asked from the first board.
	Subnet string `yaml:"subnet" example:"192.168.1.0/24" pattern:"^[0-9.]+/[0-9]+$"`
	// The router. Default: asked from the first board.
	Gateway string `yaml:"gateway" example:"192.168.1.1" pattern:"^[0-9.]+$"`
	// Name servers of the boards. Default: the gateway.
	Nameservers []string `yaml:"nameservers" example:"192.168.1.1" pattern:"^[0-9A-Fa-f.:]+$"`
	// The address that follows the healthy node; it needs two nodes.
	VIP *VIP `yaml:"vip"`
	// Who may use SMB, NFS, SSH and the API. Default: the subnet.
	LAN []string `yaml:"lan" example:"192.168.1.0/24" pattern:"^[0-9A-Fa-f.:]+/[0-9]+$"`
	// Encryption of the traffic between the nodes.
	Encryption string `yaml:"encryption" default:"none" enum:"none wireguard"`
}

// VIP is the virtual address of the cloud.
type VIP struct {
	// An address of the subnet that nobody else has; keep it out of the router's DHCP range.
	Address string `yaml:"address" required:"true" example:"192.168.1.50" pattern:"^[0-9.]+$"`
	// Number of the virtual router (VRRP), unique in the network. Default: computed from the cluster's name.
	RouterID *int `yaml:"routerID" minimum:"1" maximum:"255"`
}

// OS is what a board's system must be.
type OS struct {
	// Time zone, also of every schedule in this file, such as Europe/Paris.
	Timezone string `yaml:"timezone" default:"UTC" pattern:"^[A-Za-z0-9_+/-]+$"`
	// Swap space: compressed memory, none, or whatever the board has.
	Swap string `yaml:"swap" default:"zram" enum:"none zram keep"`
	// How far the boards are hardened.
	Hardening string `yaml:"hardening" default:"standard" enum:"none standard strict"`
	// Packages frozen at their installed version.
	Hold []string `yaml:"hold" example:"raspi-firmware" pattern:"^[a-z0-9][a-z0-9+.-]+$"`
	// What the boards install by themselves.
	Updates Updates `yaml:"updates"`
	// How the boards are reached.
	SSH SSH `yaml:"ssh"`
}

// Updates says what the boards install by themselves.
type Updates struct {
	// Security updates are installed every day.
	Security bool `yaml:"security" default:"true"`
	// When a board may restart: never, or a window such as "03:00-05:00". One board at a time.
	Reboot string `yaml:"reboot" default:"03:00-05:00" pattern:"^(never|[0-2][0-9]:[0-5][0-9]-[0-2][0-9]:[0-5][0-9])$"`
}

// SSH is how a board is reached.
type SSH struct {
	// An account with sudo, or root.
	User string `yaml:"user" default:"admin" pattern:"^[a-z_][a-z0-9_-]{0,31}$"`
	// Port of the SSH server.
	Port int `yaml:"port" default:"22" minimum:"1" maximum:"65535"`
	// Private key on this machine. Default: what ssh itself would use.
	IdentityFile string `yaml:"identityFile" example:"~/.ssh/id_ed25519"`
	// Public keys that end on every board; never an empty set after hardening.
	AuthorizedKeys []string `yaml:"authorizedKeys" example:"ssh-ed25519 AAAA… alice@laptop" pattern:"^[^\\n]*(ssh|ecdsa|sk)-[^\\n]+$"`
}

// Node is a board.
type Node struct {
	// The board's name, also in Kubernetes.
	Name string `yaml:"name" required:"true" example:"box" pattern:"^[a-z0-9]([-a-z0-9]{0,36}[a-z0-9])?$"`
	// IPv4 address, or a name; the lock file then says what it was resolved to.
	Address string `yaml:"address" required:"true" example:"192.168.1.51" pattern:"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$"`
	// Servers hold the state of Kubernetes: one, or an odd number. Default: the first node is the server, the others are agents.
	Role string `yaml:"role" enum:"server agent"`
	// Network interface. Default: the one that holds the address.
	Interface string `yaml:"interface" example:"eth0" pattern:"^([A-Za-z0-9][A-Za-z0-9._-]{0,14})?$"`
	// Model with known quirks (kernel command line, boot path).
	Board string `yaml:"board" example:"raspberry-pi-4" pattern:"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"`
	// Processor; there is no image for arm, which has 32 bits. Default: what hostprep found.
	Arch string `yaml:"arch" enum:"amd64 arm64 arm"`
	// Memory, which the budget of hcchart compares with what is needed. Default: what hostprep found.
	Memory Quantity `yaml:"memory" example:"4Gi" pattern:"^[0-9]+(\\.[0-9]+)?(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)?$"`
	// Data disks.
	Disks []Disk `yaml:"disks"`
	// Overrides of os for this board.
	OS *OS `yaml:"os"`
}

// Disk is a data disk of a board: device or uuid, exactly one of them.
//
//schema:oneof device uuid
type Disk struct {
	// Name of the disk; it is mounted at /srv/homecloud/<name>.
	Name string `yaml:"name" required:"true" example:"data" pattern:"^[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?$"`
	// Stable path of the device; never /dev/sdX, which another disk may be tomorrow.
	Device string `yaml:"device" example:"/dev/disk/by-id/usb-SanDisk_Extreme_0001-0:0" pattern:"^/dev/disk/by-(id|partuuid|path)/[^./\\s][^/\\s]*$"`
	// UUID of the file system on the disk.
	UUID string `yaml:"uuid" example:"5f0e3f0c-0000-4000-8000-000000000001" pattern:"^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"`
	// File system. Default: btrfs for a new disk (snapshots, checksums), what is there for a uuid.
	Filesystem string `yaml:"filesystem" enum:"btrfs ext4 xfs"`
	// Whether hostprep may make a file system: if-empty only on a device proved empty. Default: if-empty, never for a uuid.
	Format string `yaml:"format" enum:"never if-empty"`
	// Encryption of the disk.
	Encryption string `yaml:"encryption" default:"none" enum:"none luks"`
}

// K3s is the Kubernetes distribution.
type K3s struct {
	// Version. Default: the one that this release of homecloud was made for.
	Version string `yaml:"version" example:"v1.34.1+k3s1" pattern:"^(v1\\.[0-9]+\\.[0-9]+(\\+k3s[0-9]+)?)?$"`
	// Folder with the k3s binary, its checksums and images. Default: they are downloaded.
	Artifacts string `yaml:"artifacts" example:"./k3s"`
	// Merged last into every node's k3s configuration.
	Config map[string]any `yaml:"config"`
}

// User is a person.
type User struct {
	// The account's name, the same on every service.
	Name string `yaml:"name" required:"true" example:"alice" pattern:"^[a-z][a-z0-9_-]{0,31}$"`
	// The person's name. Default: the account's name.
	DisplayName string `yaml:"displayName" example:"Alice Example" pattern:"^[^:\\n]{0,64}$"`
	// Address for notices and calendar invitations.
	Email string `yaml:"email" example:"alice@example.org" pattern:"^[^@\\s]+@[^@\\s]+$"`
	// Whether the person administers the services.
	Admin bool `yaml:"admin" default:"false"`
	// Room in Nextcloud (files of a share have one owner).
	Quota Quantity `yaml:"quota" example:"50Gi" pattern:"^[0-9]+(\\.[0-9]+)?(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)?$"`
}

// Device is a Syncthing peer outside the cluster.
type Device struct {
	// Name of the device.
	Name string `yaml:"name" required:"true" example:"alice-phone" pattern:"^[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?$"`
	// The user whose device it is.
	Owner string `yaml:"owner" required:"true" example:"alice"`
	// Syncthing's device ID; the device itself shows it.
	ID string `yaml:"id" required:"true" example:"MFZWI3D-BONSGYC-YLTMRWG-C43ENR5-QXGZDMM-FZWI3DP-BONSGYY-LTMRWAD" pattern:"^[A-Za-z2-7]{7}(-?[A-Za-z2-7]{7}){7}$"`
	// One way: pictures arrive in an inbox and are kept in the share; deleting them on the device deletes nothing here.
	Camera *Camera `yaml:"camera"`
}

// Camera is where a device's pictures go.
type Camera struct {
	// The share that keeps the pictures.
	Share string `yaml:"share" required:"true" example:"photos"`
	// Folder in the share. Default: the device's name.
	Path string `yaml:"path" example:"alice"`
}

// DNAS is the decentralised NAS.
type DNAS struct {
	// Nodes that hold a full copy and serve it. Default: every node with the disk.
	Nodes []string `yaml:"nodes" example:"node-1"`
	// Name of the disk that holds the shares, on each of these nodes.
	Disk string `yaml:"disk" default:"data"`
	// Owner of every file of a share, whichever way it came.
	Owner Owner `yaml:"owner"`
	// How Syncthing finds devices: by the local network, by the internet's discovery and relays too, or only by address.
	Discovery string `yaml:"discovery" default:"lan" enum:"lan internet none"`
	// What people see. Default: family and photos, which everyone writes, and one private share per user.
	Shares []Share `yaml:"shares"`
}

// Owner is a uid and a gid.
type Owner struct {
	// User number.
	UID int `yaml:"uid" default:"2000" minimum:"1000" maximum:"60000"`
	// Group number.
	GID int `yaml:"gid" default:"2000" minimum:"1000" maximum:"60000"`
}

// Share is a directory that people reach by several doors under one name.
type Share struct {
	// Name of the share behind every door.
	Name string `yaml:"name" required:"true" example:"photos" pattern:"^[A-Za-z0-9]([A-Za-z0-9._-]{0,30}[A-Za-z0-9])?$"`
	// What each user may do; a user who is not named may do nothing.
	Access map[string]string `yaml:"access" enum:"read write"`
	// What may be done without a password.
	Guest string `yaml:"guest" default:"none" enum:"none read"`
	// The door for Windows, macOS and Linux desktops.
	SMB SMB `yaml:"smb"`
	// The door for consoles and Unix machines.
	NFS NFS `yaml:"nfs"`
	// Two-way copies outside the cluster.
	Sync Sync `yaml:"sync"`
	// How long deleted and overwritten files come back.
	Versions string `yaml:"versions" default:"90d" pattern:"^[0-9]+[dwy]$"`
	// The brake: more losses than both limits freeze the share until a person has looked.
	Protect *Protect `yaml:"protect"`
}

// SMB is the share's Windows door.
type SMB struct {
	// Whether the share is served over SMB.
	Enabled bool `yaml:"enabled" default:"true"`
	// Whether Macs may back up to it; such a share is never synchronised.
	TimeMachine bool `yaml:"timeMachine" default:"false"`
}

// NFS is the share's door for consoles and Unix machines. It can't tell users apart.
type NFS struct {
	// Whether the share is served over NFS.
	Enabled bool `yaml:"enabled" default:"false"`
	// Who may mount it, as addresses or networks. Default: network.lan.
	Clients []string `yaml:"clients" example:"192.168.1.0/24" pattern:"^[0-9A-Fa-f.:]+(/[0-9]+)?$"`
	// What clients may do.
	Access string `yaml:"access" default:"read" enum:"read write"`
	// Versions of the protocol; 3 is for old consoles. Default: 4.
	Versions []int `yaml:"versions" minimum:"3" maximum:"4"`
	// Says that everybody in the network may do over NFS what access allows, whatever the users' rights.
	TrustNetwork bool `yaml:"trustNetwork" default:"false"`
}

// Sync is the share's two-way copies outside the cluster.
type Sync struct {
	// Devices that hold a copy and may change it; their owners need write access.
	Devices []string `yaml:"devices" example:"alice-laptop"`
}

// Protect is the limits of the brake; both must be exceeded.
type Protect struct {
	// Files deleted or overwritten.
	Losses int `yaml:"losses" default:"200" minimum:"1" maximum:"1000000"`
	// The same as a share of all files.
	Percent int `yaml:"percent" default:"5" minimum:"0" maximum:"100"`
	// Within this time.
	Per string `yaml:"per" default:"1h" pattern:"^[0-9]+[smhd]$"`
}

// Platform is what stands under the services.
type Platform struct {
	// The web's door.
	Ingress Ingress `yaml:"ingress"`
	// Where certificates come from.
	TLS TLS `yaml:"tls"`
	// What volumes are made of.
	Storage Storage `yaml:"storage"`
	// Dashboards of the cluster.
	Dashboards Dashboards `yaml:"dashboards"`
	// Monitoring of the cluster.
	Monitoring Monitoring `yaml:"monitoring"`
	// Who is told: backup, updates, disks, everything.
	Notify Notify `yaml:"notify"`
}

// Ingress is the web's door.
type Ingress struct {
	// bundled: k3s's Traefik; own: our dependency; existing: the cluster's.
	Controller string `yaml:"controller" default:"none" enum:"none bundled own existing"`
	// Ingress class of the services.
	ClassName string `yaml:"className" example:"traefik" pattern:"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"`
}

// TLS is where certificates come from.
type TLS struct {
	// own-ca: an authority made for this home; acme: a public one; existing: Secrets of yours.
	Mode string `yaml:"mode" default:"none" enum:"none own-ca acme existing"`
	// Address that the public authority writes to.
	Email string `yaml:"email" example:"alice@example.org" pattern:"^[^@\\s]+@[^@\\s]+$"`
	// How the public authority proves that the domain is yours.
	Challenge string `yaml:"challenge" enum:"http01 dns01"`
	// Provider of the DNS zone, for dns01.
	Provider string `yaml:"provider" example:"cloudflare" pattern:"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"`
}

// Storage is what volumes are made of.
type Storage struct {
	// local-path: a directory of the node; longhorn: replicated, for boards of 4 GB; existing: a class of the cluster.
	Provider string `yaml:"provider" default:"local-path" enum:"local-path longhorn existing"`
	// Copies of a volume, for longhorn.
	Replicas *int `yaml:"replicas" minimum:"1" maximum:"8"`
	// Storage class, for existing.
	ClassName string `yaml:"className" example:"nfs-client" pattern:"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"`
}

// Dashboards of the cluster.
type Dashboards struct {
	// Headlamp.
	Headlamp bool `yaml:"headlamp" default:"false"`
	// Portainer.
	Portainer bool `yaml:"portainer" default:"false"`
}

// Monitoring of the cluster.
type Monitoring struct {
	// lite fits small boards; full is kube-prometheus-stack.
	Profile string `yaml:"profile" default:"none" enum:"none lite full"`
	// How long figures are kept. Default: 15d.
	Retention string `yaml:"retention" example:"15d" pattern:"^[0-9]+[hdwy]$"`
}

// Notify says who is told.
type Notify struct {
	// Topic on an ntfy server, as a URL.
	Ntfy string `yaml:"ntfy" example:"https://ntfy.example.org/home" pattern:"^(https?://\\S+)?$"`
	// E-mail address.
	Email string `yaml:"email" example:"alice@example.org" pattern:"^([^@\\s]+@[^@\\s]+)?$"`
	// URL that gets a JSON document.
	Webhook string `yaml:"webhook" example:"https://example.org/hook" pattern:"^(https?://\\S+)?$"`
}

// Service is a preset of charts/services and what overrides it.
type Service struct {
	// Whether it is installed. A service that is named is wanted.
	Enabled bool `yaml:"enabled" default:"true"`
	// Host name. Default: the service's name under network.domain.
	Host string `yaml:"host" example:"cloud.example.org" pattern:"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"`
	// The share that holds its data.
	Share string `yaml:"share" example:"nextcloud"`
	// Shares that it shows.
	Shares []string `yaml:"shares" example:"photos"`
	// Overrides of what it may use.
	Resources Resources `yaml:"resources"`
}

// Resources of a service.
type Resources struct {
	// What is set aside.
	Requests ResourceList `yaml:"requests"`
	// What it may not exceed.
	Limits ResourceList `yaml:"limits"`
}

// ResourceList is an amount of processor and memory.
type ResourceList struct {
	// Processors, whole or in thousandths (m).
	CPU Quantity `yaml:"cpu" example:"500m" pattern:"^([0-9]+m|[0-9]+(\\.[0-9]+)?)$"`
	// Memory.
	Memory Quantity `yaml:"memory" example:"256Mi" pattern:"^[0-9]+(\\.[0-9]+)?(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)?$"`
}

// Backup of the shares and the services.
type Backup struct {
	// Where copies go.
	Repositories []Repository `yaml:"repositories"`
	// When copies are made (cron, in os.timezone).
	Schedule string `yaml:"schedule" default:"0 3 * * *"`
	// How many copies stay.
	Keep Keep `yaml:"keep"`
	// When a restore is proved: into a scratch place, and compared (cron).
	Drill string `yaml:"drill" default:"0 5 * * 0"`
}

// Repository is a restic repository: disk or url, exactly one of them.
//
//schema:oneof disk url
type Repository struct {
	// Name of the repository.
	Name string `yaml:"name" required:"true" example:"usb" pattern:"^[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?$"`
	// A disk of a board.
	Disk *RepositoryDisk `yaml:"disk"`
	// Any address that restic knows, without a password in it.
	URL string `yaml:"url" example:"sftp:alice@example.org:/backup" pattern:"^([a-z0-9]+:\\S+|/\\S*)$"`
}

// RepositoryDisk is a disk of a board.
type RepositoryDisk struct {
	// The board.
	Node string `yaml:"node" required:"true" example:"node-3"`
	// The disk's name.
	Name string `yaml:"name" required:"true" example:"backup"`
}

// Keep is how many copies stay: a number, or forever.
type Keep struct {
	// Daily copies.
	Daily Count `yaml:"daily" default:"7"`
	// Weekly copies.
	Weekly Count `yaml:"weekly" default:"4"`
	// Monthly copies.
	Monthly Count `yaml:"monthly" default:"12"`
	// Yearly copies.
	Yearly Count `yaml:"yearly" default:"forever"`
}

// Count is a number, or the word forever.
type Count string

// Quantity is an amount with an optional unit. YAML reads one without a unit
// as a number.
type Quantity string
