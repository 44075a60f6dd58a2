package cloud

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"
	"sigs.k8s.io/kind/pkg/cluster"
)

// Kind drives a kind cluster on a machine with Docker: one control plane and
// Count boards. Their data disks are loop devices, so that they can be unmounted.
type Kind struct {
	Name  string
	Dir   string // kubeconfig and disk images
	Count int
}

var (
	_ Driver = (*Kind)(nil)
	_ Faults = (*Kind)(nil)
)

// diskSize is the size of a board's data disk, in bytes; the image is sparse.
const diskSize = 4 << 30

// Up implements [Driver].
func (k *Kind) Up(ctx context.Context) error {
	provider, err := k.provider()
	if err != nil {
		return err
	}
	clusters, err := provider.List()
	if err != nil {
		return fmt.Errorf("asking Docker for kind clusters: %w", err)
	}
	if slices.Contains(clusters, k.Name) {
		return provider.ExportKubeConfig(k.Name, k.Kubeconfig(), false)
	}
	config := &v1alpha4.Cluster{Nodes: []v1alpha4.Node{{Role: v1alpha4.ControlPlaneRole}}}
	for i := range k.Count {
		disks := filepath.Join(k.Dir, fmt.Sprintf("disks-%d", i))
		if err := os.MkdirAll(disks, 0o755); err != nil {
			return err
		}
		config.Nodes = append(config.Nodes, v1alpha4.Node{
			Role:        v1alpha4.WorkerRole,
			ExtraMounts: []v1alpha4.Mount{{HostPath: disks, ContainerPath: "/disks"}},
		})
	}
	if err := provider.Create(k.Name, cluster.CreateWithV1Alpha4Config(config), cluster.CreateWithKubeconfigPath(k.Kubeconfig()),
		cluster.CreateWithDisplayUsage(false), cluster.CreateWithDisplaySalutation(false)); err != nil {
		return fmt.Errorf("creating the kind cluster: %w", err)
	}
	nodes, err := k.Nodes(ctx)
	if err != nil {
		return err
	}
	for i, node := range nodes {
		image := filepath.Join(k.Dir, fmt.Sprintf("disks-%d", i), "data")
		if err := makeDisk(ctx, image); err != nil {
			return err
		}
		if err := k.AttachDisk(ctx, node.Name, "data"); err != nil {
			return err
		}
	}
	return nil
}

// Kubeconfig implements [Driver].
func (k *Kind) Kubeconfig() string { return filepath.Join(k.Dir, "kubeconfig") }

// makeDisk writes an ext4 image unless there is one already.
func makeDisk(ctx context.Context, image string) error {
	file, err := os.OpenFile(image, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	if err := file.Truncate(diskSize); err != nil {
		return err
	}
	_, err = run(exec.CommandContext(ctx, "mkfs.ext4", "-q", image), nil)
	return err
}

// Nodes implements [Driver]: the boards are kind's workers.
func (k *Kind) Nodes(ctx context.Context) ([]Node, error) {
	nodes, err := clusterNodes(ctx, k.Kubeconfig())
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(nodes, func(node Node) bool { return strings.HasSuffix(node.Name, "-control-plane") }), nil
}

// Load implements [Driver].
func (k *Kind) Load(ctx context.Context, archives ...string) error {
	nodes, err := k.Nodes(ctx)
	if err != nil {
		return err
	}
	for _, archive := range archives {
		for _, node := range nodes {
			file, err := os.Open(archive)
			if err != nil {
				return err
			}
			_, err = run(k.Board(ctx, node.Name, "ctr", "--namespace=k8s.io", "images", "import", "-"), file)
			file.Close()
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// Board implements [Driver].
func (k *Kind) Board(ctx context.Context, node string, command ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "docker", append([]string{"exec", "-i", node}, command...)...)
}

// LAN implements [Driver]: the machine itself is on Docker's bridge.
func (k *Kind) LAN(ctx context.Context, command ...string) *exec.Cmd {
	return exec.CommandContext(ctx, command[0], command[1:]...)
}

// Down implements [Driver].
func (k *Kind) Down(context.Context) error {
	provider, err := k.provider()
	if err != nil {
		return err
	}
	return provider.Delete(k.Name, k.Kubeconfig())
}

// KillNode implements [Faults].
func (k *Kind) KillNode(ctx context.Context, node string) error {
	_, err := run(exec.CommandContext(ctx, "docker", "kill", node), nil)
	return err
}

// StartNode implements [Faults].
func (k *Kind) StartNode(ctx context.Context, node string) error {
	if _, err := run(exec.CommandContext(ctx, "docker", "start", node), nil); err != nil {
		return err
	}
	return k.AttachDisk(ctx, node, "data")
}

// DetachDisk implements [Faults]. The file system is unmounted under what holds
// it open; unlike the lab's, it answers those that do until they let go.
func (k *Kind) DetachDisk(ctx context.Context, node, disk string) error {
	_, err := run(k.Board(ctx, node, "umount", "--lazy", mountPoint(disk)), nil)
	return err
}

// AttachDisk implements [Faults].
func (k *Kind) AttachDisk(ctx context.Context, node, disk string) error {
	if _, err := run(k.Board(ctx, node, "mkdir", "-p", mountPoint(disk)), nil); err != nil {
		return err
	}
	_, err := run(k.Board(ctx, node, "mount", "-o", "loop", "/disks/"+disk, mountPoint(disk)), nil)
	return err
}

func (k *Kind) provider() (*cluster.Provider, error) {
	option, err := cluster.DetectNodeProvider()
	if err != nil {
		return nil, fmt.Errorf("kind needs Docker, Podman or nerdctl: %w", err)
	}
	return cluster.NewProvider(option), nil
}

func mountPoint(disk string) string { return "/srv/homecloud/" + disk }
