// Package control is the first process of the LAN's namespaces: it builds the LAN, keeps the
// control plane running in it, and lets the machine reach the API.
//
// The control plane is beside the nodes, not on one, so that any node can lose its power
// while the API answers.
package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tmorin/homecloud/test/lab/internal/kube"
	"github.com/tmorin/homecloud/test/lab/internal/network"
	"github.com/tmorin/homecloud/test/lab/internal/node"
	"github.com/tmorin/homecloud/test/lab/internal/pki"
	"github.com/tmorin/homecloud/test/lab/internal/supervise"
)

// Config is all that the control plane is told.
type Config struct {
	Program string `json:"program"`
	Keys    string `json:"keys"`
	Etcd    string `json:"etcd"`
	Logs    string `json:"logs"`
	// Nodes is the pattern of a node's root folder, for the provisioner.
	Nodes string `json:"nodes"`
	// Stopped is a file that exists while the API shall be away.
	Stopped string `json:"stopped"`
}

// Descriptors the process is born with, and one it makes.
const (
	// Listener is a socket of the machine's own network: a socket stays in the namespace
	// it was made in, so that this process needs no way back there to accept from it.
	Listener = 3
	// Ready gets a byte when the LAN is built.
	Ready = 4
	// Client is the namespace of the client on the LAN. The number is far from those that
	// the runtime gives.
	Client = 200
)

// Server is where nodes and clients on the LAN find the API.
const Server = "https://" + network.Gateway + ":6443"

// Init runs LAN and control plane; it ends only with an error.
func Init(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var c Config
	if err := json.Unmarshal(b, &c); err != nil {
		return err
	}
	if err := ownProc(); err != nil {
		return err
	}
	if err := network.Build(); err != nil {
		return err
	}
	client, err := network.NewClient()
	if err != nil {
		return err
	}
	if err := unix.Dup3(int(client.Fd()), Client, unix.O_CLOEXEC); err != nil {
		return err
	}
	_ = client.Close()
	listener, err := net.FileListener(os.NewFile(Listener, "listener"))
	if err != nil {
		return err
	}
	go forward(listener)
	ready := os.NewFile(Ready, "ready")
	if _, err := ready.Write([]byte{1}); err != nil {
		return errors.New("the lab that made this LAN is gone")
	}
	_ = ready.Close()
	return c.run(supervise.New())
}

// ownProc shows only this namespace's processes, and sysfs this network's links.
func ownProc() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return err
	}
	return unix.Mount("sysfs", "/sys", "sysfs", 0, "")
}

// forward gives each connection from the machine one to the API.
func forward(from net.Listener) {
	for {
		c, err := from.Accept()
		if err != nil {
			slog.Error("forwarder", "error", err)
			return
		}
		go func() {
			defer func() { _ = c.Close() }()
			api, err := net.DialTimeout("tcp", network.Gateway+":6443", 5*time.Second)
			if err != nil {
				return // the caller sees its connection end, as from an API that is away
			}
			defer func() { _ = api.Close() }()
			ended := make(chan struct{}, 2)
			copyOne := func(to, from net.Conn) {
				_, _ = io.Copy(to, from)
				if t, ok := to.(*net.TCPConn); ok {
					_ = t.CloseWrite()
				}
				ended <- struct{}{}
			}
			go copyOne(api, c)
			go copyOne(c, api)
			<-ended
			<-ended
		}()
	}
}

func (c Config) run(s *supervise.Supervisor) error {
	keys, err := pki.Open(c.Keys)
	if err != nil {
		return err
	}
	api, err := kube.NewClient(Server, keys, "admin")
	if err != nil {
		return err
	}
	serves := func() {
		for api.Ready(context.Background()) != nil {
			time.Sleep(50 * time.Millisecond)
		}
	}
	wanted := func() bool {
		_, err := os.Stat(c.Stopped)
		return err != nil
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	go func() {
		for range hangups {
			if wanted() {
				s.Wake("apiserver")
			} else {
				s.Kill("apiserver")
			}
		}
	}()
	service := func(name string, ready func(), flags ...string) supervise.Service {
		return supervise.Service{
			Name: name, Ready: ready, Log: filepath.Join(c.Logs, name+".log"),
			Argv: append([]string{c.Program, name}, flags...),
		}
	}
	apiserver := service("apiserver", nil, c.apiserver()...)
	apiserver.Wanted = wanted
	s.Run(
		// Without fsync: a lab's data is worth less than its start is.
		service("etcd", nil, "--data-dir="+c.Etcd, "--unsafe-no-fsync",
			"--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379",
			"--listen-peer-urls=http://127.0.0.1:2380"),
		apiserver,
		service("controller-manager", serves, c.controllers()...),
		service("scheduler", serves, c.as("scheduler", "--leader-elect=false")...),
		service("provisioner", serves, "--kubeconfig="+c.key("provisioner.conf"), "--nodes="+c.Nodes, "--volumes="+node.Volumes),
	)
	return nil
}

func (c Config) key(name string) string { return filepath.Join(c.Keys, name) }

// as is the flags of a component that reaches the API by the kubeconfig of its name.
func (c Config) as(name string, flags ...string) []string {
	for _, f := range []string{"kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"} {
		flags = append(flags, fmt.Sprintf("--%s=%s", f, c.key(name+".conf")))
	}
	return flags
}

func (c Config) controllers() []string {
	return c.as("controller-manager",
		"--leader-elect=false", "--use-service-account-credentials=true",
		"--service-account-private-key-file="+c.key("sa.key"), "--root-ca-file="+c.key("ca.crt"),
		"--cluster-signing-cert-file="+c.key("ca.crt"), "--cluster-signing-key-file="+c.key("ca.key"),
		// Thirty controllers ask for their credentials at the start; at the default rate that
		// takes four seconds.
		"--kube-api-qps=300", "--kube-api-burst=500",
		// A dead node is noticed in ten seconds, not forty.
		"--node-monitor-period=1s", "--node-monitor-grace-period=10s")
}

func (c Config) apiserver() []string {
	return []string{
		"--etcd-servers=http://127.0.0.1:2379", "--bind-address=0.0.0.0", "--advertise-address=" + network.Gateway, "--secure-port=6443",
		"--tls-cert-file=" + c.key("apiserver.crt"), "--tls-private-key-file=" + c.key("apiserver.key"),
		"--client-ca-file=" + c.key("ca.crt"), "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
		"--kubelet-client-certificate=" + c.key("kubelet-client.crt"), "--kubelet-client-key=" + c.key("kubelet-client.key"),
		"--kubelet-certificate-authority=" + c.key("ca.crt"), "--kubelet-preferred-address-types=InternalIP",
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file=" + c.key("sa.pub"),
		"--service-account-signing-key-file=" + c.key("sa.key"), "--service-cluster-ip-range=" + network.Services,
		"--allow-privileged=true", "--profiling=false",
		// Pods leave a lost node after five seconds, not five minutes.
		"--default-not-ready-toleration-seconds=5", "--default-unreachable-toleration-seconds=5",
		"--requestheader-client-ca-file=" + c.key("ca.crt"), "--requestheader-allowed-names=front-proxy",
		"--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + c.key("front-proxy.crt"), "--proxy-client-key-file=" + c.key("front-proxy.key"),
	}
}
