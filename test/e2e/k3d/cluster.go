package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/k3d-io/k3d/v5/pkg/client"
	"github.com/k3d-io/k3d/v5/pkg/config"
	"github.com/k3d-io/k3d/v5/pkg/config/types"
	"github.com/k3d-io/k3d/v5/pkg/config/v1alpha5"
	"github.com/k3d-io/k3d/v5/pkg/runtimes"
	k3d "github.com/k3d-io/k3d/v5/pkg/types"
	"github.com/k3d-io/k3d/v5/pkg/util"
	"k8s.io/client-go/tools/clientcmd"
)

// cluster is a k3d cluster whose agents are the boards.
type cluster struct {
	name   string
	boards int
	disks  string // folder of this machine that every board sees as /disks
}

// k3sImage is the Kubernetes version of the offline cluster, so that scenarios can be compared.
const k3sImage = "docker.io/rancher/k3s:v1.34.2-k3s1"

// up makes the cluster unless it is there.
func (c cluster) up(ctx context.Context) error {
	_, err := c.get(ctx)
	if errors.Is(err, client.ClusterGetNoNodesFoundError) {
		return c.create(ctx)
	}
	return err
}

// create makes the cluster as k3d's own command does, or leaves nothing.
func (c cluster) create(ctx context.Context) error {
	port, err := util.GetFreePort()
	if err != nil {
		return fmt.Errorf("finding a port for the API: %w", err)
	}
	simple := c.config(port)
	if err := config.ProcessSimpleConfig(&simple); err != nil {
		return err
	}
	full, err := config.TransformSimpleToClusterConfig(ctx, runtimes.SelectedRuntime, simple, "")
	if err != nil {
		return err
	}
	if full, err = config.ProcessClusterConfig(*full); err != nil {
		return err
	}
	if err := config.ValidateClusterConfig(ctx, runtimes.SelectedRuntime, *full); err != nil {
		return err
	}
	if err := client.ClusterRun(ctx, runtimes.SelectedRuntime, full); err != nil {
		err = fmt.Errorf("making the cluster %s: %w", c.name, err)
		undo := client.ClusterDelete(context.WithoutCancel(ctx), runtimes.SelectedRuntime, &full.Cluster, k3d.ClusterDeleteOpts{SkipRegistryCheck: true})
		if errors.Is(undo, client.ClusterGetNoNodesFoundError) {
			undo = nil
		}
		return errors.Join(err, undo)
	}
	return nil
}

// config is a cluster of one server and the boards, with nothing on the ports
// that homecloud uses and no proxy in front of the API.
func (c cluster) config(apiPort int) v1alpha5.SimpleConfig {
	everyServer := []string{"server:*"}
	return v1alpha5.SimpleConfig{
		TypeMeta:   types.TypeMeta{APIVersion: v1alpha5.ApiVersion, Kind: "Simple"},
		ObjectMeta: types.ObjectMeta{Name: c.name},
		Servers:    1,
		Agents:     c.boards,
		Image:      k3sImage,
		ExposeAPI:  v1alpha5.SimpleExposureOpts{HostIP: "127.0.0.1", HostPort: strconv.Itoa(apiPort)},
		Volumes:    []v1alpha5.VolumeWithNodeFilters{{Volume: c.disks + ":/disks", NodeFilters: []string{"agent:*"}}},
		Options: v1alpha5.SimpleConfigOptions{
			K3dOptions: v1alpha5.SimpleConfigOptionsK3d{Wait: true, Timeout: 5 * time.Minute, DisableLoadbalancer: true},
			K3sOptions: v1alpha5.SimpleConfigOptionsK3s{ExtraArgs: []v1alpha5.K3sArgWithNodeFilters{
				{Arg: "--disable=traefik", NodeFilters: everyServer},
				{Arg: "--disable=servicelb", NodeFilters: everyServer},
			}},
		},
	}
}

func (c cluster) get(ctx context.Context) (*k3d.Cluster, error) {
	return client.ClusterGet(ctx, runtimes.SelectedRuntime, &k3d.Cluster{Name: c.name})
}

// kubeconfig writes the kubeconfig, whose API is a port of this machine.
func (c cluster) kubeconfig(ctx context.Context, path string) error {
	kubeconfig, err := client.KubeconfigGet(ctx, runtimes.SelectedRuntime, &k3d.Cluster{Name: c.name})
	if err != nil {
		return err
	}
	return clientcmd.WriteToFile(*kubeconfig, path)
}

// load puts the images of docker archives on every node.
func (c cluster) load(ctx context.Context, archives []string) error {
	found, err := c.get(ctx)
	if err != nil {
		return err
	}
	return client.ImageImportIntoClusterMulti(ctx, runtimes.SelectedRuntime, archives, found, k3d.ImageImportOpts{Mode: k3d.ImportModeDirect})
}

// down takes the cluster away.
func (c cluster) down(ctx context.Context) error {
	err := client.ClusterDelete(ctx, runtimes.SelectedRuntime, &k3d.Cluster{Name: c.name}, k3d.ClusterDeleteOpts{SkipRegistryCheck: true})
	if err != nil && !errors.Is(err, client.ClusterGetNoNodesFoundError) {
		return fmt.Errorf("deleting the cluster %s: %w", c.name, err)
	}
	return nil
}
