package v1alpha1

// The header of a lock file. Its version moves on its own.
const (
	LockAPIVersion = "homecloud.lock/v1alpha1"
	LockKind       = "Lock"
)

// Lock is homecloud.lock.yaml: what was asked from the boards. hostprep check
// writes it, a person commits it.
type Lock struct {
	// Version of this file's format.
	APIVersion string `yaml:"apiVersion" required:"true" example:"homecloud.lock/v1alpha1" enum:"homecloud.lock/v1alpha1"`
	// What this file holds.
	Kind string `yaml:"kind" required:"true" example:"Lock" enum:"Lock"`
	// Name of the cluster whose boards these are.
	Cluster string `yaml:"cluster" required:"true" example:"home"`
	// Facts by node.
	Nodes map[string]Facts `yaml:"nodes" required:"true" example:"{box: {address: 192.168.1.51}}"`
}

// Facts are what a board said of itself.
type Facts struct {
	// IPv4 address that the node's name resolved to.
	Address string `yaml:"address"`
	// Interface that holds the address.
	Interface string `yaml:"interface"`
	// Network of the interface.
	Subnet string `yaml:"subnet"`
	// Router of the board.
	Gateway string `yaml:"gateway"`
	// Processor.
	Arch string `yaml:"arch" enum:"amd64 arm64 arm"`
	// Memory.
	Memory Quantity `yaml:"memory"`
}
