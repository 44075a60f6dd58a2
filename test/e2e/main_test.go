// Package e2e holds the scenarios: what a family does, and what happens to its
// boards, on a real cluster with real clients. The scenarios know a kubeconfig,
// a way to run a client on the family's network and, where the driver has them,
// faults.
//
// DRIVER chooses the cluster: lab (default), kind, k3d, or existing (KUBECONFIG).
package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tmorin/homecloud/test/cloud"
)

// patience is how long a condition may take; generous, for slow machines.
const patience = 3 * time.Minute

// newCloud makes a cluster of its own for a test, takes it away afterwards, and
// prints what ran when the test failed. KEEP=1 leaves it for a look.
func newCloud(t *testing.T, name string, boards int) *cloud.Cloud {
	t.Helper()
	root, err := cloud.Checkout()
	require.NoError(t, err)
	driver, dir := newDriver(t, root, name, boards)
	c := &cloud.Cloud{Driver: driver, Root: root, Dir: filepath.Join(dir, "cloud")}
	t.Cleanup(func() {
		if t.Failed() {
			_ = c.PrintStatus(context.Background(), os.Stderr)
			c.PrintLogs(context.Background(), os.Stderr)
		}
		if os.Getenv("KEEP") == "" {
			require.NoError(t, driver.Down(context.Background()))
			require.NoError(t, os.RemoveAll(dir))
		}
	})
	require.NoError(t, driver.Up(t.Context()))
	require.NoError(t, c.LoadImages(t.Context()))
	return c
}

func newDriver(t *testing.T, root, name string, boards int) (cloud.Driver, string) {
	t.Helper()
	state, err := os.MkdirTemp("", "homecloud-"+name+"-")
	require.NoError(t, err)
	switch driver := os.Getenv("DRIVER"); driver {
	case "", "lab":
		if os.Geteuid() != 0 {
			t.Skip("the lab makes namespaces and mounts: run the tests as root, or set DRIVER=kind, k3d or existing")
		}
		return &cloud.Lab{Binary: filepath.Join(root, "bin", "lab"), Name: name, Dir: filepath.Join(state, "lab"), Count: boards}, state
	case "kind":
		return cloud.NewKind("homecloud-"+name, state, boards), state
	case "k3d":
		return cloud.NewK3d(filepath.Join(root, "bin", "k3d-driver"), "homecloud-"+name, state, boards), state
	case "existing":
		return &cloud.Existing{Path: os.Getenv("KUBECONFIG")}, state
	default:
		t.Fatalf("DRIVER=%s: write lab, kind, k3d or existing", driver)
		return nil, ""
	}
}

// needFaults skips a scenario that has to break a board where the driver can't.
func needFaults(t *testing.T, c *cloud.Cloud) cloud.Faults {
	t.Helper()
	faults, ok := c.Driver.(cloud.Faults)
	if !ok {
		t.Skipf("%T can't break its boards: this scenario runs with DRIVER=lab, kind or k3d", c.Driver)
	}
	return faults
}

// eventually waits for a condition; when it doesn't come, its last error is the test's.
func eventually(t *testing.T, what string, condition func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		err := condition(ctx)
		if err == nil {
			return
		}
		if ctx.Err() == nil { // an error of the waiting's end says nothing
			last = err
		}
		select {
		case <-ctx.Done():
			require.NoError(t, fmt.Errorf("%s: not within %s: %w", what, patience, last))
		case <-tick.C:
		}
	}
}
