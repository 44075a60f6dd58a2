package config

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"

	"github.com/tmorin/homecloud/internal/config/v1alpha1"
)

func (c *check) boards() {
	if c.wrote("nodes") && len(c.in.Nodes) == 0 {
		c.fail("nodes", "there is no board", "write nodes: [{name: box, address: 192.168.1.51, …}]")
	}
	seen := &twins{names: map[string]string{}, addresses: map[string]string{}, uuids: map[string]string{}, devices: map[string]string{}, wholes: map[string]string{}}
	for i, in := range c.in.Nodes {
		c.out.Nodes = append(c.out.Nodes, c.board(fmt.Sprintf("nodes[%d]", i), in, seen))
	}
	c.roles()
	c.staleFacts()
}

// twins remembers where a value of any board was first written; wholes are the
// devices of which a part was.
type twins struct{ names, addresses, uuids, devices, wholes map[string]string }

var (
	interfaceName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,14}$`)
	hostName      = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$`)
	numeric       = regexp.MustCompile(`^[0-9.]+$`)
)

func (c *check) board(path string, in v1alpha1.Node, seen *twins) Node {
	c.name(path+".name", in.Name, nodeName)
	c.unique(seen.names, in.Name, path+".name", "the name "+in.Name+" is taken", "choose another name")
	node := Node{
		Name: in.Name, Role: in.Role, Interface: in.Interface, Board: in.Board, Arch: in.Arch,
		Memory: c.size(path+".memory", string(in.Memory), 256<<20),
		OS:     c.out.OS,
	}
	c.boardFacts(path, in.Name, &node)
	if node.Arch == "arm" {
		c.fail(path+".arch", "there is no image for 32-bit ARM", "give the board a 64-bit system and write arm64, or take the board out")
	}
	c.boardAddress(path, in, &node)
	c.unique(seen.addresses, strings.ToLower(node.Address), path+".address",
		"the address "+node.Address+" is another board's", "write each board's own")
	if node.Interface != "" && !interfaceName.MatchString(node.Interface) {
		remedy := "write one such as eth0, ip address lists them"
		// ip shows the other end of a pair, or the device below, after an @.
		if name, _, _ := strings.Cut(node.Interface, "@"); interfaceName.MatchString(name) {
			remedy = "write " + name
		}
		c.fail(path+".interface", shown(node.Interface)+" is not a network interface", remedy)
	}
	if node.Interface == "lo" {
		c.fail(path+".interface", "lo reaches nobody but the board itself", "write one such as eth0, ip address lists them")
	}
	if in.Board != "" && !dnsLabel.MatchString(in.Board) {
		c.fail(path+".board", shown(in.Board)+" is not a model", "write one such as raspberry-pi-4")
	}
	if in.OS != nil {
		c.system(path+".os", *in.OS)
		node.OS = systemOf(c.override(path+".os", *in.OS))
	}
	names := map[string]string{}
	for i, disk := range in.Disks {
		at := fmt.Sprintf("%s.disks[%d]", path, i)
		c.name(at+".name", disk.Name, diskName)
		c.unique(names, disk.Name, at+".name", "the name "+disk.Name+" is taken on this board", "choose another name")
		node.Disks = append(node.Disks, c.disk(at, disk, seen))
	}
	return node
}

// boardFacts fills what the file leaves out from the lock.
func (c *check) boardFacts(path, name string, node *Node) {
	facts, ok := c.facts.Nodes[name]
	if !ok || name == "" {
		return
	}
	at := join("nodes", name)
	if node.Interface == "" && facts.Interface != "" {
		node.Interface = facts.Interface
		c.factPath[path+".interface"] = at + ".interface"
	}
	if node.Arch == "" && facts.Arch != "" {
		node.Arch = facts.Arch
		c.factPath[path+".arch"] = at + ".arch"
	}
	if node.Memory == 0 && facts.Memory != "" && !c.brokenAt(path+".memory") {
		c.factPath[path+".memory"] = at + ".memory"
		node.Memory = c.size(path+".memory", string(facts.Memory), 256<<20)
	}
}

func (c *check) boardAddress(path string, in v1alpha1.Node, node *Node) {
	at := path + ".address"
	node.Address = in.Address
	if in.Address == "" {
		return
	}
	locked := c.facts.Nodes[in.Name].Address
	address, err := netip.ParseAddr(in.Address)
	switch {
	case err == nil && !address.Is4():
		c.refuse(at, in.Address+" is an IPv6 address; boards talk to each other by IPv4", "write the board's IPv4 address")
	case err == nil && !usableAddress(address):
		c.refuse(at, in.Address+" can't be a board's address", "write the address that the board has in the home's network")
	case err == nil:
		if locked != "" && locked != in.Address {
			c.warn(at, "the lock file remembers "+shown(locked)+" for this board", "correct the lock file")
		}
	case numeric.MatchString(in.Address) || !hostName.MatchString(in.Address):
		c.refuse(at, shown(in.Address)+" is neither an IPv4 address nor a host name", "write one such as 192.168.1.51 or box.local")
	case locked != "":
		c.factPath[at] = join("nodes", in.Name) + ".address"
		resolved, err := netip.ParseAddr(locked)
		if err != nil || !resolved.Is4() || !usableAddress(resolved) {
			c.refuse(at, shown(locked)+" is not the IPv4 address of a board", "write it")
			return
		}
		node.Hostname, node.Address = in.Address, resolved.String()
	default:
		node.Hostname = in.Address
	}
}

func usableAddress(address netip.Addr) bool {
	return !address.IsUnspecified() && !address.IsLoopback() && !address.IsMulticast() && address.As4() != [4]byte{255, 255, 255, 255}
}

var (
	stableDevice   = regexp.MustCompile(`^/dev/disk/by-(id|partuuid|path)/[^./\s][^/\s]*$`)
	filesystemUUID = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	partition      = regexp.MustCompile(`-part[0-9]+$`)
)

func (c *check) disk(path string, in v1alpha1.Disk, seen *twins) Disk {
	disk := Disk{
		Name: in.Name, Device: in.Device, UUID: strings.ToLower(in.UUID),
		Filesystem: in.Filesystem, Format: in.Format, Encryption: in.Encryption,
	}
	switch {
	case c.brokenAt(path + ".device"), c.brokenAt(path + ".uuid"):
	case in.Device == "" && in.UUID == "":
		c.fail(path, "says neither device nor uuid", "write device: /dev/disk/by-id/…, ls /dev/disk/by-id lists them")
	case in.Device != "" && in.UUID != "":
		c.fail(path, "says both device and uuid", "keep one of them")
	case in.Device != "":
		c.diskDevice(path+".device", in.Device, seen)
	case !filesystemUUID.MatchString(disk.UUID), strings.Trim(disk.UUID, "0-") == "":
		c.fail(path+".uuid", shown(in.UUID)+" is not the UUID of a file system", "write what lsblk -o NAME,UUID shows, such as 5f0e3f0c-0000-4000-8000-000000000002")
	default:
		c.unique(seen.uuids, disk.UUID, path+".uuid", "the UUID is another disk's", "write each disk's own; a cloned disk needs a new UUID")
	}
	// A UUID says that somebody has made a file system already.
	if disk.Format == "" && in.UUID != "" {
		disk.Format = "never"
	}
	if disk.Format == "" {
		disk.Format = "if-empty"
	}
	if disk.Filesystem == "" && in.UUID == "" {
		disk.Filesystem = "btrfs"
	}
	return disk
}

func (c *check) diskDevice(path, device string, seen *twins) {
	switch {
	case strings.HasPrefix(device, "/dev/disk/by-uuid/"):
		c.fail(path, "names a UUID", "write uuid: "+strings.TrimPrefix(device, "/dev/disk/by-uuid/"))
	case strings.HasPrefix(device, "/dev/disk/by-label/"):
		c.fail(path, "names a label, which another disk may carry too", "write its path under /dev/disk/by-id, or uuid: …")
	case !strings.HasPrefix(device, "/dev/disk/"):
		problem := shown(device) + " is not a stable path of a disk"
		if strings.HasPrefix(device, "/dev/") {
			problem = shown(device) + " may be another disk after the next start"
		}
		c.fail(path, problem, "write its path under /dev/disk/by-id, ls -l /dev/disk/by-id shows it")
	case !stableDevice.MatchString(device):
		c.fail(path, shown(device)+" is not a stable path of a disk", "write its path under /dev/disk/by-id, ls -l /dev/disk/by-id shows it")
	default:
		c.deviceOnce(path, device, seen)
	}
}

// deviceOnce judges that no device, nor a part of it, is two disks'.
func (c *check) deviceOnce(path, device string, seen *twins) {
	// A path by-path leads to a port, which every board of a model has.
	if strings.HasPrefix(device, "/dev/disk/by-path/") {
		board, _, _ := strings.Cut(path, ".")
		device = board + device
	}
	if !c.unique(seen.devices, device, path, "the device is another disk's", "write each disk's own; if two adapters show one serial number, write uuid instead") {
		return
	}
	whole := partition.ReplaceAllString(device, "")
	first, isPart := seen.wholes[whole], whole != device
	switch other, ok := seen.devices[whole]; {
	case isPart && ok:
		c.fail(path, "is a part of the device at "+other, "write two separate disks or partitions")
	case !isPart && first != "":
		c.fail(path, "is the whole of which the device at "+first+" is a part", "write two separate disks or partitions")
	case isPart && first == "":
		seen.wholes[whole] = path
	}
}

// roles makes the first free node the server when nobody is, and wants a
// number of servers that can vote.
func (c *check) roles() {
	servers := 0
	for _, node := range c.out.Nodes {
		if node.Role == RoleServer {
			servers++
		}
	}
	for i := range c.out.Nodes {
		if c.out.Nodes[i].Role != "" || c.brokenAt(fmt.Sprintf("nodes[%d].role", i)) {
			continue
		}
		c.out.Nodes[i].Role = RoleAgent
		if servers == 0 {
			c.out.Nodes[i].Role, servers = RoleServer, 1
		}
	}
	switch {
	case len(c.out.Nodes) == 0 || c.brokenUnder("nodes"):
	case servers == 0:
		c.fail("nodes[0].role", "no node is a server", "write role: server for one node, or for three")
	case servers%2 == 0:
		c.fail("nodes", fmt.Sprintf("%d nodes are servers: half of them can't decide anything alone", servers),
			fmt.Sprintf("write role: server for %d or %d of them", servers-1, servers+1))
	}
}

// staleFacts tells of boards in the lock that the file no longer has.
func (c *check) staleFacts() {
	if c.brokenUnder("nodes") {
		return
	}
	for name := range c.facts.Nodes {
		known := false
		for _, node := range c.out.Nodes {
			known = known || node.Name == name
		}
		if !known {
			at := "lock." + name
			c.factPath[at] = join("nodes", name)
			c.warn(at, "the cluster file has no such node", "remove it")
		}
	}
}
