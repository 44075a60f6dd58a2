package main

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tmorin/homecloud/internal/config"
)

// clusterDraft is what init writes into a cluster file.
type clusterDraft struct {
	Name            string
	Subnet, Gateway string // empty: left to hostprep
	VIP             string // empty: none
	Nodes           []nodeDraft
	Users           []string // the first is the administrator
}

type nodeDraft struct {
	Name, Address, Interface string
	Disk                     string // a path of a device, or a UUID
}

// parseNodeFlag reads NAME=ADDRESS[,disk=…][,interface=…].
func parseNodeFlag(text string) (nodeDraft, error) {
	parts := strings.Split(text, ",")
	name, address, found := strings.Cut(parts[0], "=")
	if !found || name == "" || address == "" {
		return nodeDraft{}, fmt.Errorf("--node %s: write NAME=ADDRESS, such as box=192.168.1.51", text)
	}
	node := nodeDraft{Name: name, Address: address}
	seen := map[string]bool{}
	for _, part := range parts[1:] {
		key, value, _ := strings.Cut(part, "=")
		if seen[key] {
			return nodeDraft{}, fmt.Errorf("--node %s: %s= is written twice; keep one of them", text, key)
		}
		seen[key] = true
		switch key {
		case "disk":
			node.Disk = value
		case "interface":
			node.Interface = value
		default:
			return nodeDraft{}, fmt.Errorf("--node %s: %q is not known; write disk=… or interface=…", text, key)
		}
	}
	return node, nil
}

// findings are the errors that the file would have.
func (d clusterDraft) findings() []config.Finding {
	_, err := config.Parse("homecloud.yaml", d.text(), nil)
	var invalid *config.InvalidError
	if errors.As(err, &invalid) {
		return invalid.Findings
	}
	return nil
}

// text is the cluster file. What follows the line of examples is YAML behind
// "# ", so that a test can hold it to the same rules.
func (d clusterDraft) text() []byte {
	var text strings.Builder
	line := func(format string, arguments ...any) { fmt.Fprintf(&text, format+"\n", arguments...) }

	line("# The whole cloud. hcchart validate checks this file, hcchart up makes it so; hcchart schema helps editors with it.")
	line("apiVersion: homecloud/v1alpha1")
	line("kind: Cluster")
	line("# Disks and synchronised folders remember the name: choose it once.")
	line("name: %s", scalar(d.Name))
	line("")
	d.network(line)
	line("# The boards. Each one with the data disk holds a full copy of every share.")
	line("nodes:")
	for _, node := range d.Nodes {
		node.text(line)
	}
	line("")
	line("# The people: one account each, on every service. hcchart secrets set users.NAME sets a password.")
	line("users:")
	for i, user := range d.Users {
		line("  - name: %s", scalar(user))
		if i == 0 {
			line("    admin: true")
		}
	}
	line("")
	d.examples(line)
	return []byte(text.String())
}

func (d clusterDraft) network(line func(string, ...any)) {
	if d.Subnet == "" && d.Gateway == "" && d.VIP == "" {
		return
	}
	line("network:")
	if d.Subnet != "" {
		line("  subnet: %s", scalar(d.Subnet))
	}
	if d.Gateway != "" {
		line("  gateway: %s", scalar(d.Gateway))
	}
	if d.VIP != "" {
		line("  # The address that moves to a healthy board; keep it out of the router's DHCP range.")
		line("  vip:")
		line("    address: %s", scalar(d.VIP))
	}
	line("")
}

func (n nodeDraft) text(line func(string, ...any)) {
	line("  - name: %s", scalar(n.Name))
	line("    address: %s", scalar(n.Address))
	if n.Interface != "" {
		line("    interface: %s", scalar(n.Interface))
	}
	if n.Disk == "" {
		return
	}
	kind := "uuid"
	if strings.Contains(n.Disk, "/") {
		kind = "device"
	}
	line("    disks:")
	line("      - name: %s", config.DefaultDisk)
	line("        %s: %s", kind, scalar(n.Disk))
}

const examplesLine = "# What is not written has a default. Examples; remove the # in front to use one:"

func (d clusterDraft) examples(line func(string, ...any)) {
	owner := d.Users[0]
	line(examplesLine)
	line("#")
	line("# devices:                      # Syncthing on phones and laptops; the app shows the id")
	line("#   - name: %s-laptop", owner)
	line("#     owner: %s", owner)
	line("#     id: MFZWI3D-BONSGYC-YLTMRWG-C43ENR5-QXGZDMM-FZWI3DP-BONSGYY-LTMRWAD")
	line("#")
	line("# dnas:")
	line("#   shares:                     # default: family and photos, which everyone writes, and one for each user alone")
	line("#     - name: photos")
	line("#       access: {%s: write}     # write or read, by user", owner)
	line("#       sync: {devices: [%s-laptop]}   # two-way copies", owner)
	line("#     - name: music")
	line("#       access: {%s: write}", owner)
	line("#       guest: read             # without a password")
	line("#       nfs: {enabled: true}    # for consoles and Unix machines; it knows no passwords")
}

// scalar writes a text so that YAML reads it as the same text.
func scalar(text string) string {
	encoded, err := yaml.Marshal(text)
	if err != nil || strings.Count(string(encoded), "\n") > 1 {
		return fmt.Sprintf("%q", text)
	}
	return strings.TrimSuffix(string(encoded), "\n")
}

// homeNetwork is the network that this machine is in; empty when unknown.
type homeNetwork struct{ Subnet, Gateway string }

func (h homeNetwork) String() string {
	if h.Gateway == "" {
		return h.Subnet
	}
	return h.Subnet + ", router " + h.Gateway
}

// holds says whether all boards have an address in the network.
func (h homeNetwork) holds(nodes []nodeDraft) bool {
	subnet, err := netip.ParsePrefix(h.Subnet)
	if err != nil {
		return false
	}
	for _, node := range nodes {
		address, err := netip.ParseAddr(node.Address)
		if err != nil || !subnet.Contains(address) {
			return false
		}
	}
	return true
}
