// Package network builds the LAN of a lab: a bridge in a network namespace of its own, a
// cable to each node, and one to a client. Nothing of it is in the machine's own network.
package network

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Addresses of the LAN and of the cluster behind it.
const (
	LAN      = "10.77.0.0/24"
	Gateway  = "10.77.0.1"
	Client   = "10.77.0.200"
	Pods     = "10.244.0.0/16"
	Services = "10.96.0.0/16"
	// API is the first address of Services, always that of the API.
	API = "10.96.0.1"
	DNS = "10.96.0.10"

	bridge = "lan0"
	prefix = 24
)

// A Node is what the LAN knows about a node.
type Node struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	Pods    string `json:"pods"`
}

// NodeNumber is the n-th node, from 1.
func NodeNumber(n int) Node {
	return Node{
		Name:    fmt.Sprintf("node-%d", n),
		Address: fmt.Sprintf("10.77.0.%d", 10+n),
		Pods:    fmt.Sprintf("10.244.%d.0/24", n),
	}
}

// cable is the LAN's end of a node's cable.
func cable(node string) string { return "v-" + node }

// Build makes the bridge in the calling thread's namespace, which must be the LAN's.
func Build() error {
	h, err := netlink.NewHandle()
	if err != nil {
		return err
	}
	defer h.Close()
	if err := up(h, "lo"); err != nil {
		return err
	}
	if err := h.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: bridge}}); err != nil {
		return fmt.Errorf("bridge %s: %w", bridge, err)
	}
	// Ports forward at once; the default waits half a minute for spanning tree.
	if err := os.WriteFile("/sys/class/net/"+bridge+"/bridge/forward_delay", []byte("0"), 0); err != nil {
		return err
	}
	if err := address(h, bridge, Gateway); err != nil {
		return err
	}
	return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0)
}

// RouteToPods lets the control plane reach pods (webhooks, aggregated APIs), as servers
// that are nodes themselves do.
func RouteToPods(lan string, nodes []Node) error {
	h, done, err := handle(lan)
	if err != nil {
		return err
	}
	defer done()
	link, err := h.LinkByName(bridge)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		if err := h.RouteReplace(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: cidr(n.Pods), Gw: net.ParseIP(n.Address)}); err != nil {
			return fmt.Errorf("route to %s: %w", n.Pods, err)
		}
	}
	return nil
}

// NewClient makes a namespace with one end of a cable, for a device that is a mere
// neighbour on the LAN, and returns it as a file. To be called in the LAN's namespace.
func NewClient() (*os.File, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	lan, err := netns.Get()
	if err != nil {
		return nil, err
	}
	defer func() { _ = lan.Close() }()
	client, err := netns.New()
	if err != nil {
		return nil, err
	}
	if err := netns.Set(lan); err != nil {
		return nil, err
	}
	h, err := netlink.NewHandle()
	if err != nil {
		return nil, err
	}
	defer h.Close()
	if err := plug(h, "client", int(client)); err != nil {
		return nil, err
	}
	c, err := netlink.NewHandleAt(client)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := configure(c, Client); err != nil {
		return nil, err
	}
	// A neighbour knows nothing of the cluster's inner networks; without this the gateway,
	// which is the API's machine too, would lead there.
	for _, inner := range []string{Pods, Services} {
		if err := c.RouteAdd(&netlink.Route{Dst: cidr(inner), Type: unix.RTN_UNREACHABLE}); err != nil {
			return nil, err
		}
	}
	return os.NewFile(uintptr(client), "client"), nil
}

// Plug lays the cable between the LAN and a node, and gives the node its address and its
// ways to the pods of its peers.
func Plug(lan, inside string, node Node, peers []Node) error {
	h, done, err := handle(lan)
	if err != nil {
		return err
	}
	defer done()
	n, doneNode, err := handle(inside)
	if err != nil {
		return err
	}
	defer doneNode()
	ns, err := netns.GetFromPath(inside)
	if err != nil {
		return err
	}
	defer func() { _ = ns.Close() }()
	if err := plug(h, node.Name, int(ns)); err != nil {
		return err
	}
	if err := configure(n, node.Address); err != nil {
		return err
	}
	return routes(n, peers)
}

// Peers teaches a running node the way to the pods of others that came later.
func Peers(inside string, peers []Node) error {
	n, done, err := handle(inside)
	if err != nil {
		return err
	}
	defer done()
	return routes(n, peers)
}

// Cut pulls the node's cable out of the switch, or puts it back.
func Cut(lan, node string, cut bool) error {
	h, done, err := handle(lan)
	if err != nil {
		return err
	}
	defer done()
	link, err := h.LinkByName(cable(node))
	if err != nil {
		return fmt.Errorf("cable of %s: %w", node, err)
	}
	if cut {
		return h.LinkSetDown(link)
	}
	return h.LinkSetUp(link)
}

func plug(h *netlink.Handle, name string, ns int) error {
	// The namespace of a node that was just killed takes its cable along a little later.
	if old, err := h.LinkByName(cable(name)); err == nil {
		if err := h.LinkDel(old); err != nil && !errors.Is(err, syscall.ENODEV) {
			return err
		}
	}
	switchport, err := h.LinkByName(bridge)
	if err != nil {
		return err
	}
	veth := &netlink.Veth{
		LinkAttrs:     netlink.LinkAttrs{Name: cable(name), MasterIndex: switchport.Attrs().Index},
		PeerName:      "eth0",
		PeerNamespace: netlink.NsFd(ns),
	}
	if err := h.LinkAdd(veth); err != nil {
		return fmt.Errorf("cable of %s: %w", name, err)
	}
	return up(h, cable(name))
}

func configure(h *netlink.Handle, ip string) error {
	if err := up(h, "lo"); err != nil {
		return err
	}
	if err := address(h, "eth0", ip); err != nil {
		return err
	}
	return h.RouteReplace(&netlink.Route{Gw: net.ParseIP(Gateway)})
}

func routes(h *netlink.Handle, peers []Node) error {
	link, err := h.LinkByName("eth0")
	if err != nil {
		return err
	}
	for _, p := range peers {
		if err := h.RouteReplace(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: cidr(p.Pods), Gw: net.ParseIP(p.Address)}); err != nil {
			return fmt.Errorf("route to %s: %w", p.Pods, err)
		}
	}
	return nil
}

func address(h *netlink.Handle, link, ip string) error {
	l, err := h.LinkByName(link)
	if err != nil {
		return fmt.Errorf("%s: %w", link, err)
	}
	a := &netlink.Addr{IPNet: &net.IPNet{IP: net.ParseIP(ip), Mask: net.CIDRMask(prefix, 32)}}
	if err := h.AddrReplace(l, a); err != nil {
		return fmt.Errorf("%s: address %s: %w", link, ip, err)
	}
	return h.LinkSetUp(l)
}

func up(h *netlink.Handle, name string) error {
	link, err := h.LinkByName(name)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return h.LinkSetUp(link)
}

func handle(path string) (*netlink.Handle, func(), error) {
	ns, err := netns.GetFromPath(path)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	h, err := netlink.NewHandleAt(ns)
	if err != nil {
		_ = ns.Close()
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return h, func() { h.Close(); _ = ns.Close() }, nil
}

func cidr(s string) *net.IPNet {
	_, n, err := net.ParseCIDR(s)
	if err != nil {
		panic(err) // all come from this package
	}
	return n
}
