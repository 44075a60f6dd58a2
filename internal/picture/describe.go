package picture

import (
	"fmt"
	"strings"

	"github.com/tmorin/homecloud/internal/config"
)

// describe says in words what the diagram shows, for who can't see it.
func describe(c *config.Cluster) string {
	var sentences []string
	say := func(format string, a ...any) { sentences = append(sentences, fmt.Sprintf(format, a...)+".") }
	for _, node := range c.Nodes {
		text := fmt.Sprintf("Board %s, %s, at %s", node.Name, node.Role, node.Address)
		var disks []string
		for _, disk := range node.Disks {
			disks = append(disks, disk.Name)
		}
		if disks != nil {
			text += ", with the disk " + strings.Join(disks, ", ")
		}
		say("%s", text)
	}
	if c.Network.VIP != nil {
		say("The virtual address %s moves to a board that works", c.Network.VIP.Address)
	}
	for _, share := range c.DNAS.Shares {
		var doors []string
		for _, door := range doorsOf(share) {
			doors = append(doors, door.name)
		}
		say("Share %s on %s, by %s", share.Name, strings.Join(c.DNAS.Nodes, ", "), strings.Join(doors, ", "))
	}
	for _, name := range enabled(c) {
		say("Service %s", name)
	}
	for _, device := range c.Devices {
		text := "Device " + device.Name
		if device.Owner != "" {
			text += " of " + device.Owner
		}
		say("%s: %s", text, strings.Join(synchronises(c, device).lines(), "; "))
	}
	return strings.Join(sentences, " ")
}
