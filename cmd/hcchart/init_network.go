package main

import (
	"encoding/binary"
	"encoding/hex"
	"net"
	"net/netip"
	"os"
	"strings"
)

// detectNetwork finds the network of this machine's default route. It sends
// nothing. Linux tells the router too.
func detectNetwork() homeNetwork {
	routes, _ := os.ReadFile("/proc/net/route") // absent elsewhere
	name, gateway := defaultRoute(string(routes))
	if name == "" {
		// Connecting a datagram socket only looks a route up.
		connection, err := net.Dial("udp4", "192.0.2.1:9")
		if err != nil {
			return homeNetwork{}
		}
		defer connection.Close()
		local, ok := connection.LocalAddr().(*net.UDPAddr)
		if !ok {
			return homeNetwork{}
		}
		return homeNetwork{Subnet: subnetOf(local.IP)}
	}
	found, err := net.InterfaceByName(name)
	if err != nil {
		return homeNetwork{}
	}
	addresses, err := found.Addrs()
	if err != nil {
		return homeNetwork{}
	}
	for _, address := range addresses {
		if prefix, err := netip.ParsePrefix(address.String()); err == nil && prefix.Addr().Is4() && prefix.Contains(gateway) {
			return homeNetwork{Subnet: prefix.Masked().String(), Gateway: gateway.String()}
		}
	}
	return homeNetwork{}
}

// defaultRoute reads Linux's routing table: the interface and the router of the
// first route to everywhere.
func defaultRoute(table string) (name string, gateway netip.Addr) {
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) < 8 || fields[1] != "00000000" || fields[7] != "00000000" {
			continue
		}
		bytes, err := hex.DecodeString(fields[2])
		if err != nil || len(bytes) != 4 || fields[2] == "00000000" {
			continue
		}
		// The kernel prints the number as the processor holds it.
		var address [4]byte
		binary.NativeEndian.PutUint32(address[:], binary.BigEndian.Uint32(bytes))
		return fields[0], netip.AddrFrom4(address)
	}
	return "", netip.Addr{}
}

// subnetOf is the network of one of this machine's addresses.
func subnetOf(address net.IP) string {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return ""
	}
	for _, candidate := range all {
		prefix, err := netip.ParsePrefix(candidate.String())
		if err == nil && prefix.Addr().String() == address.String() {
			return prefix.Masked().String()
		}
	}
	return ""
}
