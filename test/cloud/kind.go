package cloud

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"
	"sigs.k8s.io/kind/pkg/cluster"
	"sigs.k8s.io/kind/pkg/cluster/nodeutils"
	kindexec "sigs.k8s.io/kind/pkg/exec"
)

// Kind drives a kind cluster on a machine with Docker: one control plane and
// Count boards. Their data disks are loop devices, so that they can be unmounted.
type Kind struct {
	containers
	Name  string
	Dir   string // kubeconfig and disk images
	Count int
}

var (
	_ Driver = (*Kind)(nil)
	_ Faults = (*Kind)(nil)
)

// NewKind returns a driver that keeps its files in dir.
func NewKind(name, dir string, count int) *Kind {
	return &Kind{containers: containers{Disks: filepath.Join(dir, "disks")}, Name: name, Dir: dir, Count: count}
}

// Up implements [Driver].
func (k *Kind) Up(ctx context.Context) error {
	if err := os.MkdirAll(k.Disks, 0o755); err != nil {
		return err
	}
	provider := k.provider()
	clusters, err := provider.List()
	if err != nil {
		return kindError("asking Docker for kind clusters", err)
	}
	if slices.Contains(clusters, k.Name) {
		err = provider.ExportKubeConfig(k.Name, k.Kubeconfig(), false)
	} else {
		err = provider.Create(k.Name, cluster.CreateWithV1Alpha4Config(kindConfig(k.Count, k.Disks)),
			cluster.CreateWithKubeconfigPath(k.Kubeconfig()), cluster.CreateWithWaitForReady(3*time.Minute),
			cluster.CreateWithDisplayUsage(false), cluster.CreateWithDisplaySalutation(false))
	}
	if err != nil {
		return kindError("making the kind cluster", err)
	}
	return k.addDisks(ctx, k.Nodes, k.Count)
}

// kindConfig is a cluster of one control plane and count boards that see the folder of disk images.
func kindConfig(count int, disks string) *v1alpha4.Cluster {
	config := &v1alpha4.Cluster{
		TypeMeta: v1alpha4.TypeMeta{APIVersion: "kind.x-k8s.io/v1alpha4", Kind: "Cluster"},
		Nodes:    []v1alpha4.Node{{Role: v1alpha4.ControlPlaneRole}},
	}
	for range count {
		// Files only, no mounts: no propagation from this machine is needed. Between
		// a board and its pods it is there, kind makes a board's root shared.
		config.Nodes = append(config.Nodes, v1alpha4.Node{
			Role:        v1alpha4.WorkerRole,
			ExtraMounts: []v1alpha4.Mount{{HostPath: disks, ContainerPath: "/disks"}},
		})
	}
	return config
}

// Kubeconfig implements [Driver].
func (k *Kind) Kubeconfig() string { return filepath.Join(k.Dir, "kubeconfig") }

// Nodes implements [Driver]: the boards are kind's workers.
func (k *Kind) Nodes(ctx context.Context) ([]Node, error) {
	nodes, err := clusterNodes(ctx, k.Kubeconfig())
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(nodes, func(node Node) bool { return strings.HasSuffix(node.Name, "-control-plane") }), nil
}

// Load implements [Driver] as `kind load image-archive` does, which knows the node's snapshotter.
func (k *Kind) Load(_ context.Context, archives ...string) error {
	nodes, err := k.provider().ListInternalNodes(k.Name)
	if err != nil {
		return kindError("listing kind's nodes", err)
	}
	var group errgroup.Group
	for _, node := range nodes {
		group.Go(func() error {
			for _, archive := range archives {
				file, err := os.Open(archive)
				if err != nil {
					return err
				}
				err = nodeutils.LoadImageArchive(node, file)
				file.Close()
				if err != nil {
					return kindError(fmt.Sprintf("loading %s on %s", archive, node), err)
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// Down implements [Driver].
func (k *Kind) Down(context.Context) error {
	if err := k.provider().Delete(k.Name, k.Kubeconfig()); err != nil {
		return kindError("deleting the kind cluster", err)
	}
	return errors.Join(os.RemoveAll(k.Disks), os.RemoveAll(k.Kubeconfig()))
}

// provider is kind on Docker, and on nothing else: the boards are reached by Docker's own command.
func (k *Kind) provider() *cluster.Provider {
	return cluster.NewProvider(cluster.ProviderWithDocker())
}

// kindError adds what the command that kind ran said.
func kindError(doing string, err error) error {
	if failed := kindexec.RunErrorForError(err); failed != nil {
		return fmt.Errorf("%s: %w\n%s", doing, err, failed.Output)
	}
	return fmt.Errorf("%s: %w", doing, err)
}
