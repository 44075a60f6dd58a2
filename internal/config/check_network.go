package config

import (
	"fmt"
	"hash/fnv"
	"net/netip"
	"regexp"
	"strings"
)

// privateRanges are who may use the doors while nobody knows the subnet.
var privateRanges = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"),
	netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.168.0.0/16"),
}

var domainName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$`)

func (c *check) network() {
	in, network := c.in.Network, &c.out.Network
	network.Domain, network.Encryption = in.Domain, in.Encryption
	c.domain(in.Domain)
	network.Subnet = c.subnet()
	network.Gateway = c.gateway()
	for i, text := range in.Nameservers {
		if address, err := netip.ParseAddr(text); err == nil {
			network.Nameservers = append(network.Nameservers, address)
		} else if text != "" {
			c.fail(fmt.Sprintf("network.nameservers[%d]", i), shown(text)+" is not an address", "write one such as 192.168.1.1")
		}
	}
	if !c.wrote("network.nameservers") && network.Gateway.IsValid() {
		network.Nameservers = []netip.Addr{network.Gateway}
	}
	c.lan()
	for i, node := range c.out.Nodes {
		path, address := fmt.Sprintf("nodes[%d].address", i), node.IP()
		switch {
		case !address.IsValid():
		case address == network.Gateway:
			c.fail(path, node.Address+" is the router's address", "write the address that the board has, or correct network.gateway")
		default:
			c.inSubnet(path, address, "the board")
		}
	}
}

func (c *check) domain(domain string) {
	switch {
	case domain == "" || domain == "local":
	case len(domain) > 200 || !domainName.MatchString(domain) || numeric.MatchString(domain):
		remedy := "write one such as home.example.org"
		if lower := strings.ToLower(domain); lower != domain && domainName.MatchString(lower) {
			remedy = "write " + lower
		}
		c.fail("network.domain", shown(domain)+" is not a domain", remedy)
	case strings.HasSuffix(domain, ".local"):
		c.fail("network.domain", domain+" is below local, where names are only looked up by mDNS", "write local, or a domain of yours")
	}
}

// fact takes a text from the file, else from the first board in the lock that
// knows it.
func (c *check) fact(path, written, field string, of func(node string) string) string {
	if written != "" || c.brokenAt(path) {
		return written
	}
	for _, node := range c.out.Nodes {
		if text := of(node.Name); text != "" {
			c.factPath[path] = join("nodes", node.Name) + "." + field
			return text
		}
	}
	return ""
}

func (c *check) subnet() netip.Prefix {
	const path = "network.subnet"
	text := c.fact(path, c.in.Network.Subnet, "subnet", func(node string) string { return c.facts.Nodes[node].Subnet })
	if text == "" {
		return netip.Prefix{}
	}
	subnet, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		c.refuse(path, shown(text)+" is not a network", "write an address with its length, such as 192.168.1.0/24")
		return netip.Prefix{}
	case !subnet.Addr().Is4():
		c.refuse(path, text+" is an IPv6 network; boards talk to each other by IPv4", "write the IPv4 network; IPv6 ones may stand in network.lan")
		return netip.Prefix{}
	case subnet.Masked() != subnet:
		c.fail(path, text+" is an address inside of a network", "write "+subnet.Masked().String())
	case subnet.Bits() < 8 || subnet.Bits() > 30:
		c.refuse(path, fmt.Sprintf("%s has room for %s", text, map[bool]string{true: "no boards", false: "half the internet"}[subnet.Bits() > 30]),
			"write the home's network, such as 192.168.1.0/24")
		return netip.Prefix{}
	}
	for _, inner := range []struct{ key, network, what string }{
		{"cluster-cidr", "10.42.0.0/16", "pods"}, {"service-cidr", "10.43.0.0/16", "services"},
	} {
		if own, ok := c.in.K3s.Config[inner.key].(string); ok {
			inner.network = own
		}
		prefix, err := netip.ParsePrefix(inner.network)
		if err == nil && prefix.Overlaps(subnet) {
			c.fail(path, fmt.Sprintf("%s overlaps %s, which the cluster uses for its %s", text, inner.network, inner.what),
				"write another network in k3s.config."+inner.key+", or change the router's")
		}
	}
	return subnet.Masked()
}

func (c *check) gateway() netip.Addr {
	const path = "network.gateway"
	text := c.fact(path, c.in.Network.Gateway, "gateway", func(node string) string { return c.facts.Nodes[node].Gateway })
	if text == "" {
		return netip.Addr{}
	}
	gateway, err := netip.ParseAddr(text)
	if err != nil || !gateway.Is4() {
		c.refuse(path, shown(text)+" is not an IPv4 address", "write the router's, such as 192.168.1.1")
		return netip.Addr{}
	}
	c.inSubnet(path, gateway, "the router")
	return gateway
}

// inSubnet judges an address that must be one of the home's.
func (c *check) inSubnet(path string, address netip.Addr, what string) bool {
	subnet := c.out.Network.Subnet
	switch {
	case !subnet.IsValid():
		return true
	case !subnet.Contains(address):
		c.fail(path, fmt.Sprintf("%s is outside of the subnet %s", address, subnet), "write an address of the subnet, or correct network.subnet")
	case address == subnet.Addr():
		c.fail(path, fmt.Sprintf("%s is the number of the subnet itself", address), "write the address that "+what+" has")
	case address == lastOf(subnet):
		c.fail(path, fmt.Sprintf("%s is the broadcast address of the subnet", address), "write the address that "+what+" has")
	default:
		return true
	}
	return false
}

func lastOf(prefix netip.Prefix) netip.Addr {
	bytes := prefix.Addr().As4()
	for bit := prefix.Bits(); bit < 32; bit++ {
		bytes[bit/8] |= 1 << (7 - bit%8)
	}
	return netip.AddrFrom4(bytes)
}

func (c *check) lan() {
	network, seen := &c.out.Network, map[string]string{}
	for i, text := range c.in.Network.LAN {
		path := fmt.Sprintf("network.lan[%d]", i)
		prefix, ok := c.prefix(path, text)
		if !ok || !c.unique(seen, prefix.String(), path, text+" is named twice", "keep one of them") {
			continue
		}
		switch address := prefix.Addr(); {
		case prefix.Bits() < 7:
			c.fail(path, text+" is half of the internet or more", "write the home's networks")
			continue
		case !address.IsPrivate() && !address.IsLinkLocalUnicast():
			c.warn(path, text+" is not a private network: files are served to its addresses too", "check that all of it is yours")
		}
		network.LAN = append(network.LAN, prefix)
	}
	switch {
	case c.brokenUnder("network.lan"):
	case c.wrote("network.lan") && len(c.in.Network.LAN) == 0:
		c.fail("network.lan", "nobody may use the cloud", "write the home's networks, or remove the line")
	case c.wrote("network.lan"):
		if network.Subnet.IsValid() && len(network.LAN) == len(c.in.Network.LAN) && !within(network.Subnet, network.LAN) {
			c.warn("network.lan", fmt.Sprintf("does not contain the subnet %s: who is in it can't use the cloud", network.Subnet), "add the subnet")
		}
	case network.Subnet.IsValid():
		network.LAN = []netip.Prefix{network.Subnet}
	default:
		network.LAN = privateRanges
		if !c.brokenAt("network.subnet") {
			c.warn("network", "nobody knows the subnet: whoever has a private address may use SMB and NFS", "write network.subnet")
		}
	}
}

func within(prefix netip.Prefix, in []netip.Prefix) bool {
	for _, outer := range in {
		if outer.Bits() <= prefix.Bits() && outer.Contains(prefix.Addr()) {
			return true
		}
	}
	return false
}

// prefix reads a network; an address alone is refused where networks stand.
func (c *check) prefix(path, text string) (netip.Prefix, bool) {
	if text == "" {
		return netip.Prefix{}, false
	}
	prefix, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		remedy := "write an address with its length, such as 192.168.1.0/24"
		if address, err := netip.ParseAddr(text); err == nil {
			remedy = "write " + netip.PrefixFrom(address, address.BitLen()).String() + " for this address alone"
		}
		c.refuse(path, shown(text)+" is not a network", remedy)
		return netip.Prefix{}, false
	case prefix.Masked() != prefix:
		c.fail(path, text+" is an address inside of a network", "write "+prefix.Masked().String())
	}
	return prefix.Masked(), true
}

// virtual judges the VIP; it comes after dnas, whose nodes are its candidates.
func (c *check) virtual() {
	if c.in.Network.VIP == nil || c.brokenAt("network.vip") {
		return
	}
	const path = "network.vip.address"
	vip := &VIP{RouterID: routerID(c.out.Name)}
	if own := c.in.Network.VIP.RouterID; own != nil {
		vip.RouterID = *own
	}
	c.out.Network.VIP = vip
	if len(c.out.DNAS.Nodes) < 2 && !c.faulty("nodes") && !c.faulty("dnas.nodes") && !c.faulty("dnas.disk") {
		c.fail("network.vip", "a virtual address needs a second node of the NAS to move to", "remove it, or add a node with the disk")
	}
	c.needs()
	text := c.in.Network.VIP.Address
	if text == "" {
		return
	}
	address, err := netip.ParseAddr(text)
	if err != nil || !address.Is4() || !usableAddress(address) {
		c.refuse(path, shown(text)+" is not an IPv4 address", "write a free one of the subnet, such as 192.168.1.50")
		return
	}
	vip.Address = address
	if !c.inSubnet(path, address, "nobody else") {
		return
	}
	if address == c.out.Network.Gateway {
		c.fail(path, text+" is the router's address", "write one that nobody has")
		return
	}
	for _, node := range c.out.Nodes {
		if node.IP() == address {
			c.fail(path, text+" is the address of "+node.Name, "write one that nobody has")
			return
		}
	}
	for _, server := range c.out.Network.Nameservers {
		if server == address {
			c.fail(path, text+" is a name server's address", "write one that nobody has")
			return
		}
	}
}

// needs are the facts without which a virtual address can't be configured.
func (c *check) needs() {
	if !c.out.Network.Subnet.IsValid() && !c.brokenAt("network.subnet") {
		c.fail("network.vip", "nobody knows the subnet of the virtual address", "write network.subnet")
	}
	for i, node := range c.out.Nodes {
		path := fmt.Sprintf("nodes[%d].interface", i)
		if node.Interface == "" && c.isDNASNode(node.Name) {
			c.fail(path, "is not known, but the virtual address needs it", "write the interface, such as eth0")
		}
	}
}

// routerID is the same for the same name, and differs for most others: two
// homecloud clusters in one network rarely meet.
func routerID(name string) int {
	sum := fnv.New32a()
	sum.Write([]byte(name))
	return int(sum.Sum32()%255) + 1
}
