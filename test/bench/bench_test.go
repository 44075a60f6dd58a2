// Package bench measures; it asserts nothing about time. `make bench` prints
// the figures that docs/reference/figures.md quotes.
package bench

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tmorin/homecloud/test/cloud"
)

// rounds is how often a file goes from SMB on one board to NFS on the other.
const rounds = 20

// BenchmarkCloud measures one cloud of two boards: how long the lab takes, what
// the components need, how long a file travels, beside the same daemons run bare.
func BenchmarkCloud(b *testing.B) {
	if os.Geteuid() != 0 {
		b.Skip("the lab makes namespaces and mounts: run the benchmark as root")
	}
	root, err := cloud.Checkout()
	require.NoError(b, err)
	state, err := os.MkdirTemp("", "homecloud-bench-")
	require.NoError(b, err)
	lab := &cloud.Lab{Binary: filepath.Join(root, "bin", "lab"), Name: "bench", Dir: filepath.Join(state, "lab"), Count: 2}
	c := &cloud.Cloud{Driver: lab, Root: root, Dir: filepath.Join(state, "cloud")}
	b.Cleanup(func() {
		require.NoError(b, lab.Down(context.Background()))
		require.NoError(b, os.RemoveAll(state))
	})

	b.ReportMetric(seconds(func() { require.NoError(b, lab.Up(b.Context())) }), "lab-up-s")
	b.ReportMetric(seconds(func() { require.NoError(b, c.LoadImages(b.Context())) }), "images-load-s")
	example, err := c.Example("two-boards.yaml")
	require.NoError(b, err)
	require.NoError(b, c.WriteFile(example))
	require.NoError(b, c.Prepare(b.Context()))
	b.ReportMetric(seconds(func() { _, err := c.Install(b.Context()); require.NoError(b, err) }), "install-s")
	b.ReportMetric(seconds(func() { _, err := c.Install(b.Context()); require.NoError(b, err) }), "install-again-s")

	nodes, err := lab.Nodes(b.Context())
	require.NoError(b, err)
	inCluster := &path{cloud: c, from: nodes[0].Address, to: nodes[1].Address, smbPort: "445", nfsPort: 2049, share: "roms", auth: login(b, c)}
	inCluster.warm(b)
	memory(b, c, nodes[0].Name)
	bare := startBare(b, c, nodes)
	bare.warm(b)

	var withCluster, without []time.Duration
	for i := range rounds { // in turns: whatever else the machine does meets both
		withCluster = append(withCluster, inCluster.travel(b, i))
		without = append(without, bare.travel(b, i))
	}
	report(b, "homecloud", withCluster)
	report(b, "bare", without)
	b.ReportMetric(median(withCluster).Seconds()/median(without).Seconds(), "median-ratio")
}

func seconds(do func()) float64 {
	start := time.Now()
	do()
	return time.Since(start).Seconds()
}

// path is a way of a file: put by SMB on one board, read by NFS on the other.
type path struct {
	cloud    *cloud.Cloud
	from, to string
	smbPort  string
	nfsPort  int
	share    string
	auth     string
}

// travel returns the time from the start of the put until the file was read whole.
func (p *path) travel(b *testing.B, round int) time.Duration {
	b.Helper()
	name := fmt.Sprintf("file-%d-%d", round, time.Now().UnixNano())
	content := strings.Repeat(name, 100)
	local := filepath.Join(b.TempDir(), name)
	require.NoError(b, os.WriteFile(local, []byte(content), 0o600))
	ctx, cancel := context.WithTimeout(b.Context(), 2*time.Minute)
	defer cancel()
	start := time.Now()
	put := p.cloud.Driver.LAN(ctx, "smbclient", "//"+p.from+"/"+p.share, "-p", p.smbPort, "-A", p.auth, "-c", fmt.Sprintf("put %s %s", local, name))
	output, err := put.CombinedOutput()
	require.NoError(b, err, "%s", output)
	for {
		read, err := p.cloud.Driver.LAN(ctx, "nfs-cat", fmt.Sprintf("nfs://%s/%s/%s?version=4&nfsport=%d", p.to, p.share, name, p.nfsPort)).Output()
		if err == nil && string(read) == content {
			return time.Since(start)
		}
		require.NoError(b, ctx.Err(), "%s did not arrive", name)
	}
}

// warm lets the first file through, however long the daemons take to find each other.
func (p *path) warm(b *testing.B) {
	b.Helper()
	require.Eventually(b, func() bool {
		return p.cloud.Driver.LAN(b.Context(), "smbclient", "//"+p.from+"/"+p.share, "-p", p.smbPort, "-A", p.auth, "-c", "ls").Run() == nil
	}, time.Minute, 200*time.Millisecond)
	p.travel(b, -1)
}

func login(b *testing.B, c *cloud.Cloud) string {
	b.Helper()
	client, err := cloud.Client(c.Driver.Kubeconfig())
	require.NoError(b, err)
	secret, err := client.CoreV1().Secrets("homecloud").Get(b.Context(), "homecloud-users", metav1.GetOptions{})
	require.NoError(b, err)
	auth := filepath.Join(b.TempDir(), "bob")
	require.NoError(b, os.WriteFile(auth, fmt.Appendf(nil, "username = bob\npassword = %s\n", secret.Data["bob"]), 0o600))
	return auth
}

func median(times []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(times))[len(times)/2]
}

func report(b *testing.B, name string, times []time.Duration) {
	sorted := slices.Sorted(slices.Values(times))
	b.ReportMetric(float64(median(times).Milliseconds()), name+"-median-ms")
	b.ReportMetric(float64(sorted[(len(sorted)*95+99)/100-1].Milliseconds()), name+"-p95-ms")
}

// memory prints how much memory each program on a board holds, most first.
// Shared pages are divided among those that share them (PSS).
func memory(b *testing.B, c *cloud.Cloud, node string) {
	b.Helper()
	const line = `for p in /proc/[0-9]*; do
  kb=$(awk '/^Pss:/ {print $2}' $p/smaps_rollup 2>/dev/null) && [ -n "$kb" ] && printf '%s %s\n' $kb "$(tr '\0\n' '  ' <$p/cmdline)"
done; true`
	output, err := c.Driver.Board(b.Context(), node, "sh", "-c", line).Output()
	require.NoError(b, err)
	held := map[string]int{}
	for process := range strings.Lines(string(output)) {
		fields := strings.Fields(process)
		if len(fields) < 2 || fields[1] == "sh" {
			continue
		}
		kib, err := strconv.Atoi(fields[0])
		require.NoError(b, err)
		name := filepath.Base(fields[1])
		if len(fields) > 2 {
			switch name {
			case "homecloud-agent", "kubernetes", "lab": // one binary, several programs
				name += " " + fields[2]
			case "python3":
				name = filepath.Base(fields[2])
			}
		}
		held[name] += kib
	}
	fmt.Printf("\nMemory on %s, MiB:\n", node)
	for _, name := range slices.SortedFunc(maps.Keys(held), func(a, b string) int { return held[b] - held[a] }) {
		fmt.Printf("%6.1f  %s\n", float64(held[name])/1024, name)
	}
}
