package deploy

import (
	"fmt"

	"github.com/tmorin/homecloud/internal/config"
)

// Address is where a share is reached.
type Address struct {
	Share string
	SMB   string // smb://…, empty when the share has no such door
	NFS   string // HOST:/SHARE
}

// Addresses lists where people find the shares: at the virtual address, which
// some board always holds, or at each board of the NAS.
func Addresses(c *config.Cluster) []Address {
	var hosts []string
	for _, node := range c.DNASNodes() {
		hosts = append(hosts, node.Address)
	}
	if c.Network.VIP != nil && len(hosts) > 0 {
		hosts = []string{c.Network.VIP.Address.String()}
	}
	var list []Address
	for _, share := range c.DNAS.Shares {
		for _, host := range hosts {
			a := Address{Share: share.Name}
			if share.SMB.Enabled {
				a.SMB = fmt.Sprintf("smb://%s/%s", host, share.Name)
			}
			if share.NFS.Enabled {
				a.NFS = fmt.Sprintf("%s:/%s", host, share.Name)
			}
			list = append(list, a)
		}
	}
	return list
}
