// Package remote runs commands on boards over SSH: the way it logs in, whom it
// trusts, and how it becomes root. It knows nothing of what the commands do.
package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/crypto/ssh/knownhosts"
)

// Target is a board to log in to.
type Target struct {
	Name    string // shown in errors
	Address string
	Port    int
	User    string
	// IdentityFile is a private key; empty: those that ssh itself looks for. Keys
	// of the running agent are always tried first.
	IdentityFile string
}

// dialPatience is how long a board may take to answer and to let us in.
const dialPatience = 15 * time.Second

// Board is an open connection to a board.
type Board struct {
	target Target
	client *ssh.Client
	agent  io.Closer // nil: no agent runs
	watch  sync.WaitGroup
	closed chan struct{}
}

// Dial logs in with keys, to a board whose own key is known. It never asks for
// a password, and never trusts a board that nobody has looked at.
func Dial(ctx context.Context, target Target) (*Board, error) {
	keys, err := target.keys()
	if err != nil {
		return nil, err
	}
	trust, err := knownKeys()
	if err != nil {
		return nil, err
	}
	address := net.JoinHostPort(target.Address, strconv.Itoa(target.Port))
	config := &ssh.ClientConfig{
		User: target.User,
		Auth: []ssh.AuthMethod{ssh.PublicKeysCallback(keys.signers)},
		HostKeyCallback: func(host string, remote net.Addr, key ssh.PublicKey) error {
			if err := trust(host, remote, key); err != nil {
				return target.distrust(key, err)
			}
			return nil
		},
		HostKeyAlgorithms: algorithms(trust, address),
		Timeout:           dialPatience,
	}
	ctx, cancel := context.WithTimeout(ctx, dialPatience)
	defer cancel()
	connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		_ = keys.Close()
		return nil, fmt.Errorf("%s can't be reached: %w; is it switched on, and the address right?", target, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = connection.Close() })
	shaken, channels, requests, err := ssh.NewClientConn(connection, address, config)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = connection.Close() // the handshake has closed it mostly
		_ = keys.Close()
		return nil, target.refused(err, keys)
	}
	b := &Board{target: target, client: ssh.NewClient(shaken, channels, requests), agent: keys, closed: make(chan struct{})}
	b.watch.Go(b.keepAlive)
	return b, nil
}

// String is "node-1 (admin@192.168.1.51)".
func (t Target) String() string {
	where := t.User + "@" + t.Address
	if t.Port != 22 {
		where += ":" + strconv.Itoa(t.Port)
	}
	return t.Name + " (" + where + ")"
}

// silence is how often a board is asked whether it is there, and patience how
// long it may say nothing: a board that lost power closes no connection.
const (
	silence  = 15 * time.Second
	patience = 45 * time.Second
)

func (b *Board) keepAlive() {
	tick := time.NewTicker(silence)
	defer tick.Stop()
	for {
		select {
		case <-b.closed:
			return
		case <-tick.C:
		}
		answered := time.AfterFunc(patience, func() { _ = b.client.Close() })
		_, _, err := b.client.SendRequest("keepalive@openssh.com", true, nil)
		answered.Stop()
		if err != nil {
			return
		}
	}
}

// Close ends the connection.
func (b *Board) Close() error {
	close(b.closed)
	err := b.client.Close()
	if errors.Is(err, net.ErrClosed) { // an interrupt did
		err = nil
	}
	b.watch.Wait()
	return errors.Join(err, b.agent.Close())
}

// Run runs a script of the POSIX shell as root. An error carries what the
// script said on its standard error. The end of the context closes the
// connection; what reads its input ends with it.
func (b *Board) Run(ctx context.Context, script string, in io.Reader, out io.Writer) error {
	session, err := b.client.NewSession()
	if err != nil {
		return fmt.Errorf("%s: %w", b.target, err)
	}
	defer session.Close()
	var said tail
	session.Stdin, session.Stdout, session.Stderr = in, out, &said
	// The whole connection: OpenSSH signals no command of root's, and holds the
	// session open until the command ends by itself (measured).
	stop := context.AfterFunc(ctx, func() { _ = b.client.Close() })
	defer stop()
	command := "sh -c " + Quote(script)
	if b.target.User != "root" {
		command = "sudo -n " + command
	}
	err = session.Run(command)
	var exit *ssh.ExitError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil:
		return nil
	case errors.As(err, &exit):
		if strings.HasPrefix(said.String(), "sudo: ") {
			return fmt.Errorf("%s: %s; %s has to be root, or allowed to become root by sudo without a password", b.target.Name, said.String(), b.target.User)
		}
		return commandError(b.target.Name, exit.ExitStatus(), said.String())
	}
	return fmt.Errorf("%s: the connection broke: %w", b.target.Name, err)
}

func commandError(name string, status int, said string) error {
	if said == "" {
		said = "said nothing and ended with exit code " + strconv.Itoa(status)
	}
	return fmt.Errorf("%s: %s", name, said)
}

// Here runs scripts on this machine, as whoever runs this program.
type Here struct{}

// Run is like that of a Board.
func (Here) Run(ctx context.Context, script string, in io.Reader, out io.Writer) error {
	var said tail
	cmd := exec.CommandContext(ctx, "sh", "-c", script)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, &said
	err := cmd.Run()
	var exit *exec.ExitError
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.As(err, &exit) {
		return commandError("this machine", exit.ExitCode(), said.String())
	}
	return err
}

// Quote makes one word of the shell of any text.
func Quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// tail keeps the end of what a command says.
type tail struct{ buffer bytes.Buffer }

func (t *tail) Write(p []byte) (int, error) {
	const most = 4096
	t.buffer.Write(p)
	if over := t.buffer.Len() - most; over > 0 {
		t.buffer.Next(over)
	}
	return len(p), nil
}

func (t *tail) String() string { return strings.TrimSpace(t.buffer.String()) }

// keys are what a person can log in with.
type keys struct {
	agent  agent.ExtendedAgent // nil: none runs
	socket io.Closer
	files  []ssh.Signer
	locked []string // files with a passphrase
}

func (t Target) keys() (*keys, error) {
	k := &keys{}
	if socket := os.Getenv("SSH_AUTH_SOCK"); socket != "" {
		if connection, err := net.Dial("unix", socket); err == nil {
			k.agent, k.socket = agent.NewClient(connection), connection
		}
	}
	files := []string{t.IdentityFile}
	if t.IdentityFile == "" {
		files = []string{"~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa"}
	}
	for _, file := range files {
		content, err := os.ReadFile(inHome(file))
		if errors.Is(err, os.ErrNotExist) && t.IdentityFile == "" {
			continue
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s: the key to log in with: %w", t.Name, err), k.Close())
		}
		signer, err := ssh.ParsePrivateKey(content)
		var missing *ssh.PassphraseMissingError
		switch {
		case errors.As(err, &missing):
			k.locked = append(k.locked, file)
		case err != nil:
			return nil, errors.Join(fmt.Errorf("%s: %s is no private key: %w", t.Name, file, err), k.Close())
		default:
			k.files = append(k.files, signer)
		}
	}
	return k, nil
}

func (k *keys) signers() ([]ssh.Signer, error) {
	var all []ssh.Signer
	if k.agent != nil {
		if held, err := k.agent.Signers(); err == nil { // an agent that doesn't answer has none
			all = held
		}
	}
	return append(all, k.files...), nil
}

func (k *keys) Close() error {
	if k.socket == nil {
		return nil
	}
	return k.socket.Close()
}

func inHome(file string) string {
	if rest, ok := strings.CutPrefix(file, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, rest)
		}
	}
	return file
}

// knownKeys reads the keys of boards that somebody has looked at.
func knownKeys() (ssh.HostKeyCallback, error) {
	var files []string
	for _, file := range []string{inHome("~/.ssh/known_hosts"), "/etc/ssh/ssh_known_hosts"} {
		if _, err := os.Stat(file); err == nil {
			files = append(files, file)
		}
	}
	known, err := knownhosts.New(files...)
	if err != nil {
		return nil, fmt.Errorf("the known hosts: %w", err)
	}
	return known, nil
}

// algorithms are those of the keys that are known of a host: a board that
// offers another kind of key first must not look like a stranger.
func algorithms(known ssh.HostKeyCallback, address string) []string {
	var unknown *knownhosts.KeyError
	if err := known(address, &net.TCPAddr{}, nobody{}); !errors.As(err, &unknown) {
		return nil
	}
	var list []string
	for _, key := range unknown.Want {
		if kind := key.Key.Type(); kind == ssh.KeyAlgoRSA {
			list = append(list, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
		} else {
			list = append(list, kind)
		}
	}
	return list
}

// nobody is a key that no host has.
type nobody struct{}

func (nobody) Type() string                        { return "none" }
func (nobody) Marshal() []byte                     { return []byte("none") }
func (nobody) Verify([]byte, *ssh.Signature) error { return errors.New("no key") }

// distrusted is a board that isn't known to be the one.
type distrusted struct{ error }

func (t Target) distrust(key ssh.PublicKey, err error) error {
	var unknown *knownhosts.KeyError
	if !errors.As(err, &unknown) {
		return distrusted{fmt.Errorf("%s: %w", t, err)}
	}
	fingerprint := ssh.FingerprintSHA256(key)
	if len(unknown.Want) == 0 {
		return distrusted{fmt.Errorf("%s: nobody has said yet that its key is %s; log in once with `ssh -p %d %s@%s`, compare, and say yes", t, fingerprint, t.Port, t.User, t.Address)}
	}
	return distrusted{fmt.Errorf("%s: its key is %s, %s:%d knows another: it was installed anew, or somebody stands between; if you know why, `ssh-keygen -R %s` forgets the old one", t, fingerprint, unknown.Want[0].Filename, unknown.Want[0].Line, knownhosts.Normalize(net.JoinHostPort(t.Address, strconv.Itoa(t.Port))))}
}

// refused says why a board didn't let us in.
func (t Target) refused(err error, k *keys) error {
	var stranger distrusted
	if errors.As(err, &stranger) {
		return stranger.error
	}
	if !strings.Contains(err.Error(), "unable to authenticate") {
		return fmt.Errorf("%s: %w", t, err)
	}
	remedy := fmt.Sprintf("bring your key there with `ssh-copy-id -p %d %s@%s`", t.Port, t.User, t.Address)
	if k.locked != nil {
		remedy = fmt.Sprintf("%s has a passphrase, `ssh-add %[1]s` opens it", strings.Join(k.locked, ", "))
	}
	return fmt.Errorf("%s: none of your keys opens it; %s", t, remedy)
}
