package budget

import "github.com/tmorin/homecloud/internal/config"

// What k3s itself takes, measured by its makers on a Raspberry Pi 4 with all of
// its components (DNS, ingress, metrics, local volumes) and nothing else, 95th
// percentile, in megabytes and thousandths of a core:
// https://docs.k3s.io/reference/resource-profiling, K3s v1.26.5, "K3s cluster
// with a single agent" and "K3s agent".
const (
	k3sServer     Bytes = 1215e6
	k3sServerEtcd Bytes = 1413e6 // several servers keep their state in etcd
	k3sAgent      Bytes = 268e6

	k3sServerCPU CPU = 250
	k3sAgentCPU  CPU = 100
)

// What the system takes and what never reaches it. A Raspberry Pi OS Lite
// (64 bits) without load uses 125 MiB, and on a board of 512 MiB the firmware
// and the kernel keep 95 MiB before it starts
// (https://docs.printercow.com/guide/32bit-vs-64bit.html): 220, and some for SSH
// sessions and updates.
const system = 256 * mebi

// What stays free: below it the kubelet ends pods. Kubernetes' default of
// memory.available, which k3s leaves out and a prepared board has again:
// https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/
const free = 100 * mebi

// ownParts are what a board needs before anything is installed.
func ownParts(role string, etcd bool) []Part {
	k3s := Part{Name: "k3s agent", Needs: k3sAgent, CPU: k3sAgentCPU}
	switch {
	case role == config.RoleServer && etcd:
		k3s = Part{Name: "k3s server, etcd", Needs: k3sServerEtcd, CPU: k3sServerCPU}
	case role == config.RoleServer:
		k3s = Part{Name: "k3s server", Needs: k3sServer, CPU: k3sServerCPU}
	}
	parts := []Part{k3s, {Name: "system", Needs: system}, {Name: "kept free", Needs: free}}
	for i := range parts {
		parts[i].Most = parts[i].Needs
	}
	return parts
}
