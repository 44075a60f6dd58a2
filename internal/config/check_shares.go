package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/adler32"
	"maps"
	"net/netip"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/tmorin/homecloud/internal/config/v1alpha1"
)

func (c *check) nas() {
	in, dnas := c.in.DNAS, &c.out.DNAS
	dnas.Disk, dnas.Discovery = in.Disk, in.Discovery
	dnas.Owner = Owner{UID: in.Owner.UID, GID: in.Owner.GID}
	c.dnasNodes()
	c.virtual()
	if len(dnas.Nodes) < 2 {
		return
	}
	for i, node := range c.out.Nodes {
		if node.Hostname == node.Address && node.Address != "" && c.isDNASNode(node.Name) {
			c.fail(fmt.Sprintf("nodes[%d].address", i),
				node.Address+" is a name that nobody has resolved, and the nodes of the NAS find each other by address",
				"write the board's IPv4 address")
		}
	}
}

func (c *check) dnasNodes() {
	in, dnas := c.in.DNAS, &c.out.DNAS
	known, holders := make([]string, 0, len(c.out.Nodes)), []string{}
	var disks []string
	for _, node := range c.out.Nodes {
		known = append(known, node.Name)
		if _, ok := node.Disk(in.Disk); ok {
			holders = append(holders, node.Name)
		}
		for _, disk := range node.Disks {
			if diskName.syntax.MatchString(disk.Name) {
				disks = append(disks, disk.Name)
			}
		}
	}
	slices.Sort(disks)
	if !c.wrote("dnas.nodes") {
		dnas.Nodes = holders
		if len(holders) == 0 && in.Disk != "" && len(known) > 0 && !c.brokenEntries("nodes", ".disks") && !c.brokenAt("dnas.nodes") {
			remedy := "write disks: [{name: " + in.Disk + ", device: /dev/disk/by-id/…}] for a node"
			if len(disks) > 0 {
				remedy = "name one of these in dnas.disk: " + strings.Join(slices.Compact(disks), ", ")
			}
			c.fail("dnas.disk", "no node has a disk "+shown(in.Disk), remedy)
		}
		return
	}
	if len(in.Nodes) == 0 {
		c.fail("dnas.nodes", "no node holds the shares", "name nodes, or remove the line for every node with the disk")
	}
	seen := map[string]string{}
	for i, name := range in.Nodes {
		at := fmt.Sprintf("dnas.nodes[%d]", i)
		if !c.refer(at, name, "node", known, "nodes") || !c.unique(seen, name, at, name+" is named twice", "keep one of them") {
			continue
		}
		if !slices.Contains(holders, name) && !c.brokenEntries("nodes", ".disks") {
			c.fail(at, name+" has no disk "+shown(in.Disk), "give it one, or take it out of the list")
		}
		dnas.Nodes = append(dnas.Nodes, name)
	}
}

func (c *check) isDNASNode(name string) bool { return slices.Contains(c.out.DNAS.Nodes, name) }

func (c *check) shares() {
	if !c.wrote("dnas.shares") {
		if !c.brokenAt("dnas.shares") {
			c.defaultShares()
		}
	} else if len(c.in.DNAS.Shares) == 0 {
		c.fail("dnas.shares", "there is no share", "write some, or remove the line for family, photos and one per user")
	}
	names, exports := map[string]string{}, map[string]string{}
	for i, in := range c.in.DNAS.Shares {
		at := fmt.Sprintf("dnas.shares[%d]", i)
		c.name(at+".name", in.Name, shareName)
		// SMB does not know case: twins would be one share there.
		c.unique(names, strings.ToLower(in.Name), at+".name", "the name "+in.Name+" is taken (Windows does not tell case apart)", "choose another name")
		if in.NFS.Enabled && names[strings.ToLower(in.Name)] == at+".name" {
			id := NFSExportID(in.Name)
			c.unique(exports, fmt.Sprint(id), at+".name", fmt.Sprintf("the NFS export gets the id %d, as another one does by accident", id), "choose another name")
		}
		c.out.DNAS.Shares = append(c.out.DNAS.Shares, c.share(at, in))
	}
	c.cameras()
	c.unusedDevices()
}

// NFSExportID is the number of a share's NFS export, 1 to 65535, as the chart dnas
// computes it: a part of every file handle, it depends on the name alone.
func NFSExportID(share string) int {
	sum := sha256.Sum256([]byte(share))
	return int(adler32.Checksum([]byte(hex.EncodeToString(sum[:])))%65535) + 1
}

// defaultShares are what a family finds without writing any: two that
// everyone writes, and one for each alone.
func (c *check) defaultShares() {
	everyone := map[string]Access{}
	for _, user := range c.users() {
		everyone[user] = AccessWrite
	}
	add := func(name string, access map[string]Access) {
		c.out.DNAS.Shares = append(c.out.DNAS.Shares, Share{
			Name: name, Access: access, Guest: AccessNone, SMB: SMB{Enabled: true},
			NFS:      NFS{Clients: c.out.Network.LAN, Access: AccessRead, Versions: []int{4}},
			Versions: 90 * Day,
		})
	}
	common := []string{"family", "photos"}
	for _, name := range common {
		add(name, maps.Clone(everyone))
	}
	for i, user := range c.out.Users {
		at := fmt.Sprintf("users[%d].name", i)
		if slices.Contains(common, user.Name) {
			c.fail(at, "the private share of "+user.Name+" would have the name of a share of everyone", "write dnas.shares yourself, or choose another name")
			continue
		}
		if what, reserved := shareName.reserved[user.Name]; reserved {
			c.fail(at, "the private share of "+user.Name+" would have the name of "+what, "write dnas.shares yourself, or choose another name")
			continue
		}
		add(user.Name, map[string]Access{user.Name: AccessWrite})
	}
}

func (c *check) share(at string, in v1alpha1.Share) Share {
	share := Share{
		Name: in.Name, Access: map[string]Access{}, Guest: Access(in.Guest),
		SMB:      SMB{Enabled: in.SMB.Enabled, TimeMachine: in.SMB.TimeMachine},
		Versions: c.duration(at+".versions", in.Versions, Day, 3650*Day, Day),
	}
	for user, access := range in.Access {
		c.refer(join(at+".access", user), user, "user", c.users(), "users")
		share.Access[user] = Access(access)
	}
	c.shareAccess(at, &share)
	share.NFS = c.nfs(at+".nfs", in.NFS, &share)
	share.Sync = c.sync(at, in, &share)
	if in.Protect != nil {
		share.Protect = &Protect{
			Losses: in.Protect.Losses, Percent: in.Protect.Percent,
			Per: c.duration(at+".protect.per", in.Protect.Per, Duration(time.Minute), 7*Day, Duration(time.Second)),
		}
	}
	if share.SMB.TimeMachine && !share.SMB.Enabled {
		c.fail(at+".smb.timeMachine", "Time Machine comes by SMB, which is off for this share", "write smb.enabled: true")
	}
	if share.SMB.TimeMachine && share.Guest == AccessRead {
		c.fail(at+".guest", "everybody could read a Mac's whole backup", "write guest: none")
	}
	if !share.SMB.Enabled && !share.NFS.Enabled && len(share.Sync.Devices) == 0 && !c.usedByService(in.Name) && !c.brokenUnder(at) {
		c.warn(at, "nobody reaches the share: it is served by neither SMB nor NFS, and no device or service has it", "open a door")
	}
	return share
}

func (c *check) shareAccess(at string, share *Share) {
	if c.brokenUnder(at+".access") || c.brokenAt(at+".guest") {
		return
	}
	writers := slices.Contains(slices.Collect(maps.Values(share.Access)), AccessWrite)
	switch {
	case len(share.Access) == 0 && share.Guest != AccessRead:
		remedy := "write access: {alice: write}"
		if users := c.users(); len(users) > 0 {
			remedy = "write access: {" + users[0] + ": write}"
		}
		c.fail(at+".access", "nobody may use the share", remedy)
	case !writers:
		c.warn(at+".access", "nobody may put anything into the share", "write access: write for somebody")
	}
}

func (c *check) nfs(at string, in v1alpha1.NFS, share *Share) NFS {
	nfs := NFS{Enabled: in.Enabled, Access: Access(in.Access), TrustNetwork: in.TrustNetwork, Versions: in.Versions}
	seen := map[string]string{}
	for i, version := range in.Versions {
		c.unique(seen, fmt.Sprint(version), fmt.Sprintf("%s.versions[%d]", at, i), fmt.Sprintf("version %d is named twice", version), "keep one of them")
	}
	if len(nfs.Versions) == 0 {
		nfs.Versions = []int{4}
		if c.wrote(at + ".versions") {
			c.fail(at+".versions", "there is no version", "write [4]")
		}
	}
	seen = map[string]string{}
	for i, text := range in.Clients {
		path := fmt.Sprintf("%s.clients[%d]", at, i)
		client, ok := c.client(path, text)
		if ok && c.unique(seen, client.String(), path, text+" is named twice", "keep one of them") {
			nfs.Clients = append(nfs.Clients, client)
		}
	}
	if !c.wrote(at + ".clients") {
		nfs.Clients = c.out.Network.LAN
	} else if len(in.Clients) == 0 && in.Enabled {
		c.fail(at+".clients", "nobody may mount the share", "write who may, or remove the line for network.lan")
	}
	if nfs.Enabled && !nfs.TrustNetwork && !c.brokenNames("users") && !c.brokenUnder(parentOf(at)+".access") && !c.brokenAt(parentOf(at)+".guest") {
		c.nfsTrust(at, nfs, share)
	}
	return nfs
}

// nfsTrust holds the rule that a door which can't tell users apart must not
// give anybody more than the share's own access does.
func (c *check) nfsTrust(at string, nfs NFS, share *Share) {
	var less []string
	for _, user := range c.users() {
		access := share.Access[user]
		if access == AccessWrite || nfs.Access == AccessRead && (access == AccessRead || share.Guest == AccessRead) {
			continue
		}
		less = append(less, user)
	}
	path := at + ".enabled"
	switch {
	case len(less) > 0 && nfs.Access == AccessWrite:
		c.fail(at+".access", "NFS can't tell users apart, and "+strings.Join(less, ", ")+" may not write to the share",
			"write access: read, or trustNetwork: true if everybody in the network may write")
	case len(less) > 0:
		c.fail(path, "NFS can't tell users apart, and "+strings.Join(less, ", ")+" may not read the share",
			"give everybody access, write guest: read, or trustNetwork: true if everybody in the network may read")
	case nfs.Access == AccessWrite:
		c.warn(at+".access", "every machine in nfs.clients may write to the share without a password", "write trustNetwork: true if that is meant")
	case share.Guest == AccessNone:
		c.warn(path, "every machine in nfs.clients may read the share without a password", "write guest: read or trustNetwork: true if that is meant")
	}
}

// client is an address or a network that may mount, inside of network.lan: the
// firewall lets nobody else through.
func (c *check) client(path, text string) (netip.Prefix, bool) {
	if text == "" {
		return netip.Prefix{}, false
	}
	var client netip.Prefix
	if address, err := netip.ParseAddr(text); err == nil && address.Zone() == "" {
		client = netip.PrefixFrom(address, address.BitLen())
	} else if prefix, err := netip.ParsePrefix(text); err == nil {
		client = prefix.Masked()
		if client != prefix {
			c.fail(path, text+" is an address inside of a network", "write "+client.String())
		}
	} else {
		c.refuse(path, shown(text)+" is neither an address nor a network", "write one such as 192.168.1.20 or 192.168.1.0/24")
		return client, false
	}
	if lan := c.out.Network.LAN; len(lan) > 0 && !within(client, lan) && !c.brokenUnder("network.lan") && !c.brokenAt("network.subnet") {
		c.fail(path, text+" is outside of network.lan", "add it to network.lan, or take it out here")
	}
	return client, true
}

func (c *check) sync(at string, in v1alpha1.Share, share *Share) Sync {
	seen := map[string]string{}
	for i, name := range in.Sync.Devices {
		path := fmt.Sprintf("%s.sync.devices[%d]", at, i)
		if !c.refer(path, name, "device", c.deviceNames(), "devices") || !c.unique(seen, name, path, name+" is named twice", "keep one of them") {
			continue
		}
		device := c.out.Devices[slices.Index(c.deviceNames(), name)]
		if share.Access[device.Owner] != AccessWrite && slices.Contains(c.users(), device.Owner) && !c.brokenUnder(at+".access") {
			c.fail(path, fmt.Sprintf("%s belongs to %s, who may not write to the share: a two-way copy could", name, device.Owner),
				"write access: {"+device.Owner+": write}, or take the device out")
		}
		if share.SMB.TimeMachine {
			c.fail(path, "a Time Machine share is never synchronised: half a backup is none", "take the device out, or write smb.timeMachine: false")
		}
	}
	return Sync{Devices: in.Sync.Devices}
}

func (c *check) cameras() {
	for i, device := range c.out.Devices {
		if device.Camera == nil {
			continue
		}
		at := fmt.Sprintf("devices[%d].camera", i)
		names := make([]string, len(c.out.DNAS.Shares))
		for j, share := range c.out.DNAS.Shares {
			names[j] = share.Name
		}
		clean := path.Clean("/" + device.Camera.Path)[1:]
		if clean != strings.TrimSuffix(device.Camera.Path, "/") || clean == "" || strings.HasPrefix(clean, ".") || strings.Contains(clean, "/.") {
			c.fail(at+".path", shown(device.Camera.Path)+" is not a folder in the share", "write one such as "+device.Name)
		}
		if !c.refer(at+".share", device.Camera.Share, "share", names, "dnas.shares") {
			continue
		}
		share := c.out.DNAS.Shares[slices.Index(names, device.Camera.Share)]
		if share.Access[device.Owner] != AccessWrite && slices.Contains(c.users(), device.Owner) && !c.brokenUnder("dnas.shares") {
			c.fail(at+".share", fmt.Sprintf("%s belongs to %s, who may not write to %s", device.Name, device.Owner, share.Name),
				"write access: {"+device.Owner+": write} there, or another share")
		}
		if slices.Contains(share.Sync.Devices, device.Name) {
			c.fail(at+".share", device.Name+" is also a two-way device of "+share.Name+": deleting on it would delete there", "keep one of the two ways")
		}
	}
}

func (c *check) unusedDevices() {
	if c.brokenUnder("dnas.shares") || c.brokenUnder("devices") {
		return
	}
	for i, device := range c.out.Devices {
		used := device.Camera != nil
		for _, share := range c.out.DNAS.Shares {
			used = used || slices.Contains(share.Sync.Devices, device.Name)
		}
		if !used {
			c.warn(fmt.Sprintf("devices[%d]", i), device.Name+" takes part in no share", "name it in a share's sync.devices")
		}
	}
}

func (c *check) usedByService(share string) bool {
	for _, service := range c.in.Services {
		if service.Share == share || slices.Contains(service.Shares, share) {
			return true
		}
	}
	return false
}
