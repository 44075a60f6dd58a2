package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tmorin/homecloud/test/lab/internal/build"
	"github.com/tmorin/homecloud/test/lab/internal/control"
	"github.com/tmorin/homecloud/test/lab/internal/disk"
	"github.com/tmorin/homecloud/test/lab/internal/kube"
	"github.com/tmorin/homecloud/test/lab/internal/namespace"
	"github.com/tmorin/homecloud/test/lab/internal/network"
	inside "github.com/tmorin/homecloud/test/lab/internal/node"
	"github.com/tmorin/homecloud/test/lab/internal/pki"
)

// Up brings the lab to what spec says, from whatever it is. A second call changes nothing.
func (l *Lab) Up(ctx context.Context, spec Spec, cache build.Cache) error {
	if err := l.accept(spec); err != nil {
		return err
	}
	if err := check(spec.Filesystem); err != nil {
		return err
	}
	programs, err := l.Build(ctx, cache)
	if err != nil {
		return err
	}
	if err := l.programs(programs); err != nil {
		return err
	}
	if err := l.save(); err != nil {
		return err
	}
	if err := l.certificates(); err != nil {
		return err
	}
	begin := time.Now()
	started := l.step("LAN and control plane started")
	changed, err := l.startLAN(ctx)
	if err != nil {
		return err
	}
	if changed {
		started()
	}
	if err := l.startNodes(); err != nil {
		return err
	}
	if _, err := os.Stat(l.stopped()); err == nil {
		return errors.New("the API is stopped: start it with `lab api start`")
	}
	return l.wait(ctx, begin)
}

// accept takes the spec at the first start, and more nodes later.
func (l *Lab) accept(spec Spec) error {
	old := l.state.Spec
	if len(l.state.Nodes) > 0 && (spec.Nodes < old.Nodes || spec.Memory != old.Memory || spec.Filesystem != old.Filesystem) {
		return fmt.Errorf("the lab has %d nodes of %d MiB with %s disks; only more nodes can be had while it exists: `lab down` first",
			old.Nodes, old.Memory>>20, old.Filesystem)
	}
	l.state.Spec = spec
	for i := len(l.state.Nodes) + 1; i <= spec.Nodes; i++ {
		n := &node{Node: network.NodeNumber(i), Fresh: true}
		n.Disks = []disk.Disk{{Label: fmt.Sprintf("%s/%s/data", short(l.Dir), n.Name), Name: "data", Filesystem: spec.Filesystem}}
		l.state.Nodes = append(l.state.Nodes, n)
	}
	return nil
}

// Build compiles unless it was done, and returns the folder.
func (l *Lab) Build(ctx context.Context, cache build.Cache) (string, error) {
	dir, found, err := cache.Find()
	if err != nil || found {
		return dir, err
	}
	l.say("building Kubernetes %s from source, once: about 9 CPU-minutes", build.Kubernetes)
	done := l.step("Kubernetes %s built", build.Kubernetes)
	if err := cache.Build(ctx, dir, l.Progress); err != nil {
		return "", err
	}
	done()
	return dir, nil
}

// programs links a build into the state folder, so that the lab lives on when the cache is
// cleaned.
func (l *Lab) programs(from string) error {
	if err := os.MkdirAll(l.path("bin"), 0o755); err != nil {
		return err
	}
	for _, name := range []string{build.Program, build.Pause} {
		source, target := filepath.Join(from, name), l.path("bin", name)
		a, err := os.Stat(source)
		if err != nil {
			return err
		}
		if b, err := os.Stat(target); err == nil && os.SameFile(a, b) {
			continue
		}
		if l.state.LAN.Alive() && fileExists(target) {
			continue // what runs keeps what it was started with
		}
		if err := os.RemoveAll(target); err != nil {
			return err
		}
		if os.Link(source, target) == nil {
			continue
		}
		if err := l.tool("cp", source, target); err != nil { // another file system
			return err
		}
	}
	return nil
}

func (l *Lab) certificates() error {
	keys, err := l.keys()
	if err != nil {
		return err
	}
	if err := keys.ServiceAccountKey("sa"); err != nil {
		return err
	}
	const masters = "system:masters"
	subjects := map[string]pki.Subject{
		"apiserver": {
			User: "kube-apiserver", IPs: []string{network.Gateway, "127.0.0.1", network.API},
			Names: []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"},
		},
		"kubelet-client":     {User: "apiserver-kubelet-client", Groups: []string{masters}},
		"front-proxy":        {User: "front-proxy"},
		"admin":              {User: "admin", Groups: []string{masters}},
		"provisioner":        {User: "lab:provisioner", Groups: []string{masters}},
		"controller-manager": {User: "system:kube-controller-manager"},
		"scheduler":          {User: "system:kube-scheduler"},
		"proxy":              {User: "system:kube-proxy"},
		"netpol":             {User: "lab:netpol"},
	}
	for _, n := range l.state.Nodes {
		subjects[n.Name] = pki.Subject{
			User: "system:node:" + n.Name, Groups: []string{"system:nodes"},
			IPs: []string{n.Address}, Names: []string{n.Name},
		}
	}
	for name, s := range subjects {
		if err := keys.Certificate(name, s); err != nil {
			return err
		}
	}
	for _, name := range []string{"controller-manager", "scheduler", "provisioner"} {
		conf, err := keys.Kubeconfig(name, l.Name, control.Server)
		if err != nil {
			return err
		}
		if err := os.WriteFile(keys.File(name+".conf"), conf, 0o600); err != nil {
			return err
		}
	}
	for _, n := range l.state.Nodes {
		if err := l.nodeKeys(keys, n); err != nil {
			return err
		}
	}
	return nil
}

// nodeKeys gives a node what it needs, and not the authority's key.
func (l *Lab) nodeKeys(keys *pki.Dir, n *node) error {
	dir := l.path("nodes", n.Name, "keys")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for from, to := range map[string]string{"ca.crt": "ca.crt", n.Name + ".crt": "node.crt", n.Name + ".key": "node.key"} {
		b, err := os.ReadFile(keys.File(from))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, to), b, 0o600); err != nil {
			return err
		}
	}
	for name, file := range map[string]string{n.Name: "kubelet.conf", "proxy": "proxy.conf", "netpol": "netpol.conf"} {
		conf, err := keys.Kubeconfig(name, l.Name, control.Server)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, file), conf, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// stopped is the file that keeps the API away.
func (l *Lab) stopped() string { return l.path("api-stopped") }

func (l *Lab) startLAN(ctx context.Context) (changed bool, err error) {
	if l.state.LAN.Alive() {
		return false, l.routes()
	}
	// Nodes of a LAN that is gone have lost their cable for good.
	if err := l.killNodes(l.state.Nodes); err != nil {
		return true, err
	}
	if g, known := l.state.Groups["lan"]; known { // a LAN that was started but not recorded
		if err := g.Remove(dying); err != nil {
			return true, err
		}
	}
	group, err := l.group("lan", 0)
	if err != nil {
		return true, err
	}
	for _, dir := range []string{"log", "run"} {
		if err := os.MkdirAll(l.path(dir), 0o755); err != nil {
			return true, err
		}
	}
	if err := writeJSON(l.path("run", "lan.json"), control.Config{
		Program: l.path("bin", build.Program), Keys: l.path("pki"), Etcd: l.path("etcd"), Logs: l.path("log"),
		Nodes: l.path("nodes", "%s", "root"), Stopped: l.stopped(),
	}); err != nil {
		return true, err
	}
	listener, err := l.listen()
	if err != nil {
		return true, err
	}
	defer func() { _ = listener.Close() }()
	ready, tell, err := os.Pipe()
	if err != nil {
		return true, err
	}
	defer func() { _ = ready.Close() }()
	logFile := l.path("log", "lan.log")
	l.state.LAN, err = namespace.Bear(namespace.Birth{
		Argv: []string{"init-lan", l.path("run", "lan.json")}, Groups: group, Log: logFile,
	}, l.lock, listener, tell)
	_ = tell.Close()
	if err != nil {
		return true, err
	}
	if err := l.save(); err != nil {
		return true, err
	}
	if n, err := ready.Read(make([]byte, 1)); n != 1 {
		return true, fmt.Errorf("the LAN doesn't start: see %s: %w", logFile, errors.Join(err, ctx.Err()))
	}
	return true, l.routes()
}

func (l *Lab) routes() error {
	var nodes []network.Node
	for _, n := range l.state.Nodes {
		nodes = append(nodes, n.Node)
	}
	return network.RouteToPods(l.state.LAN.Path(namespace.Network), nodes)
}

// listen opens the port of the API on this machine, the same as last time where it is free.
func (l *Lab) listen() (*os.File, error) {
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", l.state.Port))
	if err != nil {
		if listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return nil, err
		}
	}
	defer func() { _ = listener.Close() }()
	l.state.Port = listener.Addr().(*net.TCPAddr).Port
	return listener.(*net.TCPListener).File()
}

func (l *Lab) startNodes() error {
	var dead []*node
	for _, n := range l.state.Nodes {
		if !n.Init.Alive() {
			dead = append(dead, n)
		}
	}
	if len(dead) == 0 {
		return nil
	}
	// What a crash left of them must not hold their disks.
	if err := l.killNodes(dead); err != nil {
		return err
	}
	return l.startThese(dead)
}

// startThese gives power to nodes, in parallel where it takes time.
func (l *Lab) startThese(nodes []*node) error {
	var making errgroup.Group
	for _, n := range nodes {
		making.Go(func() error {
			if err := l.furnish(n); err != nil {
				return fmt.Errorf("%s: %w", n.Name, err)
			}
			return nil
		})
	}
	if err := making.Wait(); err != nil {
		return err
	}
	var boots []*os.File
	defer func() {
		for _, boot := range boots {
			_ = boot.Close()
		}
	}()
	for _, n := range nodes {
		boot, err := l.power(n)
		if err != nil {
			return fmt.Errorf("%s: %w", n.Name, err)
		}
		boots = append(boots, boot)
	}
	for i, boot := range boots {
		if _, err := io.ReadFull(boot, make([]byte, 1)); err != nil {
			return fmt.Errorf("%s ended while it started: see %s", nodes[i].Name, l.log(nodes[i]))
		}
	}
	return nil
}

func (l *Lab) log(n *node) string { return l.path("log", n.Name+".log") }

// furnish makes what a node needs on disk, once.
func (l *Lab) furnish(n *node) error {
	root := l.root(n)
	for _, dir := range []string{
		root, l.path("nodes", n.Name, "disks"), l.path("stores", n.Name),
		filepath.Join(root, "etc"), filepath.Join(root, "var/log"), filepath.Join(root, "var/lib/lab"), filepath.Join(root, "var/tmp"),
		filepath.Join(root, "srv"), filepath.Join(root, "mnt"), filepath.Join(root, "home"), filepath.Join(root, "root"), filepath.Join(root, "opt"),
	} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := os.Chmod(filepath.Join(root, "var/tmp"), 0o1777|os.ModeSticky); err != nil {
		return err
	}
	if !fileExists(filepath.Join(root, "etc/passwd")) {
		if err := l.tool("cp", "-a", "/etc/.", filepath.Join(root, "etc")); err != nil {
			return err
		}
	}
	for _, d := range n.Disks {
		if err := d.Create(l.path("nodes", n.Name, "disks"), l.tool); err != nil {
			return err
		}
		if err := d.MountPoint(root); err != nil {
			return err
		}
	}
	return nil
}

// power starts a node's processes and lays its cable.
func (l *Lab) power(n *node) (boot *os.File, err error) {
	group, err := l.group(n.Name, l.state.Spec.Memory)
	if err != nil {
		return nil, err
	}
	config := l.path("nodes", n.Name, "node.json")
	if err := writeJSON(config, inside.Config{
		Node: n.Node, Memory: l.state.Spec.Memory, Disks: n.Disks, Root: l.root(n),
		Program: l.path("bin"), Keys: l.path("nodes", n.Name, "keys"),
		Images: l.path("nodes", n.Name, "disks"), Store: l.path("stores", n.Name),
		Fresh: n.Fresh, Unified: group.Unified,
	}); err != nil {
		return nil, err
	}
	wait, goAhead, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = goAhead.Close() }()
	boot, booted, err := os.Pipe()
	if err != nil {
		_ = wait.Close()
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = boot.Close()
		}
	}()
	n.Started = time.Now()
	n.Init, err = namespace.Bear(namespace.Birth{
		Argv: []string{"init-node", config}, Groups: group, Log: l.log(n),
	}, l.lock, wait, booted)
	_ = wait.Close()
	_ = booted.Close()
	if err != nil {
		return nil, err
	}
	if err := l.save(); err != nil {
		return nil, err
	}
	var peers []network.Node
	for _, other := range l.state.Nodes {
		if other != n {
			peers = append(peers, other.Node)
			if other.Init.Alive() {
				if err := network.Peers(other.Init.Path(namespace.Network), []network.Node{n.Node}); err != nil {
					return nil, err
				}
			}
		}
	}
	lan := l.state.LAN.Path(namespace.Network)
	if err := network.Plug(lan, n.Init.Path(namespace.Network), n.Node, peers); err != nil {
		return nil, err
	}
	if n.Cut {
		if err := network.Cut(lan, n.Name, true); err != nil {
			return nil, err
		}
	}
	if _, err := goAhead.Write([]byte{1}); err != nil {
		return nil, fmt.Errorf("it ended at once: see %s", l.log(n))
	}
	n.Fresh = false
	return boot, l.save()
}

// patience is how long a lab may take to become ready; on an idle machine it is seconds.
const patience = 3 * time.Minute

// wait returns when the API answers, the lab's objects are there and nodes and names work.
// Times are counted from the begin, as all of it starts at once.
func (l *Lab) wait(ctx context.Context, begin time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	api, err := l.api()
	if err != nil {
		return err
	}
	if err := l.until(ctx, "the API", func() error { return api.Ready(ctx) }); err != nil {
		return err
	}
	l.done(begin, "API at %s", l.server())
	// A new API answers before it has made its own namespaces and priorities.
	if err := l.until(ctx, "the lab's own objects", func() error { return api.Apply(ctx, kube.Base) }); err != nil {
		return err
	}
	for _, n := range l.state.Nodes {
		if n.Cut {
			continue
		}
		if err := l.until(ctx, n.Name, func() error {
			if !n.Init.Alive() {
				return fmt.Errorf("it ended: see %s", l.path("log", n.Name+".log"))
			}
			if !api.NodeReady(ctx, n.Name, n.Started) {
				return fmt.Errorf("not Ready: see %s", filepath.Join(l.root(n), "var/log/kubelet.log"))
			}
			return nil
		}); err != nil {
			return err
		}
		l.done(begin, "%s (%s) ready", n.Name, n.Address)
	}
	err = l.until(ctx, "cluster DNS", func() error {
		if !api.DNSReady(ctx) {
			return errors.New("coredns isn't available: kubectl -n kube-system describe pods")
		}
		return nil
	})
	if err == nil {
		l.done(begin, "cluster DNS ready")
	}
	return err
}

// until repeats until there is no error; when time is over it says the last one.
func (l *Lab) until(ctx context.Context, what string, f func() error) error {
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w (%w)", what, err, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (l *Lab) say(format string, args ...any) {
	_, _ = fmt.Fprintf(l.Progress, "  "+format+"\n", args...)
}

// step begins a step; the returned function ends it and says how long it took.
func (l *Lab) step(format string, args ...any) func() {
	begin := time.Now()
	return func() { l.done(begin, format, args...) }
}

func (l *Lab) done(begin time.Time, format string, args ...any) {
	_, _ = fmt.Fprintf(l.Progress, "✓ %s %.1fs\n", fmt.Sprintf(format, args...), time.Since(begin).Seconds())
}

func short(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:3])
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func writeJSON(path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o600)
}
