package syncthing

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"time"

	"github.com/tmorin/homecloud/internal/config"
)

// account is what a node's reconciler tells the other nodes of a share.
// Syncthing sends an index in portions and marks no end, so that half of one
// looks like a whole one; nor does it tell who only receives.
type account struct {
	// Sequence is the number of the last change in the index: whoever knows of a
	// lower one hasn't got all of it.
	Sequence int64 `json:"sequence"`
	// Receives says that nothing is sent yet: what is told is no reason to be done.
	Receives bool `json:"receives"`
	Idle     bool `json:"idle"`
}

const (
	accountPath  = "/shares"
	accountLimit = 1 << 20 // bytes
	accountTime  = 3 * time.Second
)

// accounts are those of all shares, by folder id.
func (r *Reconciler) accounts(ctx context.Context) (map[string]account, error) {
	settings, err := LoadSettings(r.Config, r.Node)
	if err != nil {
		return nil, err
	}
	peers, err := LoadPeers(r.Peers, settings.Nodes)
	if err != nil {
		return nil, err
	}
	state, err := loadState(r.Home)
	if err != nil {
		return nil, err
	}
	client := NewClient(r.Socket, peers.APIKey)
	defer client.Close()
	has, err := client.config(ctx)
	if err != nil {
		return nil, err
	}
	all := map[string]account{}
	for share, folder := range settings.Folders {
		current, made := byField(has.Folders, "id", folder.ID)
		if !made {
			continue
		}
		own, err := client.completion(ctx, folder.ID, peers.IDs[r.Node])
		if err != nil {
			return nil, err
		}
		status, err := client.Folder(ctx, folder.ID)
		if err != nil {
			return nil, err
		}
		memory := state.Shares[share]
		// A folder that has just been told to send announces what it holds when it
		// has looked at it once more.
		sends := !memory.Receiving && !memory.Settling && text(current, "type") == "sendreceive" && status.ReceiveOnlyTotalItems == 0
		all[folder.ID] = account{own.Sequence, !sends, status.State == "idle"}
	}
	return all, nil
}

// giveAccounts answers other nodes until ctx ends. Both sides are known by the
// identities that their Syncthings have.
func (r *Reconciler) giveAccounts(ctx context.Context, address string) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+accountPath, func(w http.ResponseWriter, request *http.Request) {
		all, err := r.accounts(request.Context())
		if err != nil {
			r.Log.Debug("no account can be given", "because", err)
			http.Error(w, "", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(all) // whoever went away doesn't read it
	})
	server := &http.Server{
		Handler: mux, ReadTimeout: accountTime, WriteTimeout: 10 * accountTime, MaxHeaderBytes: 1 << 12,
		ErrorLog: slog.NewLogLogger(r.Log.Handler(), slog.LevelDebug),
		TLSConfig: &tls.Config{
			MinVersion: tls.VersionTLS13, ClientAuth: tls.RequireAnyClientCert,
			GetCertificate:        func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return r.certificate() },
			VerifyPeerCertificate: r.isNode,
		},
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	return server.ServeTLS(listener, "", "")
}

// keepGivingAccounts begins anew where the address isn't there yet.
func (r *Reconciler) keepGivingAccounts(ctx context.Context, address string) {
	said := ""
	for ctx.Err() == nil {
		if err := r.giveAccounts(ctx, address); ctx.Err() == nil && err.Error() != said {
			said = err.Error()
			r.Log.Warn("the other nodes can't ask what this one has; their disks wait longer when they come back", "because", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(r.Steady):
		}
	}
}

// certificate is this node's identity.
func (r *Reconciler) certificate() (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(r.Home, "cert.pem"), filepath.Join(r.Home, "key.pem"))
	return &pair, err
}

// isNode refuses whoever isn't one of the other nodes.
func (r *Reconciler) isNode(certificates [][]byte, _ [][]*x509.Certificate) error {
	settings, err := LoadSettings(r.Config, r.Node)
	if err != nil {
		return err
	}
	peers, err := LoadPeers(r.Peers, settings.Nodes)
	if err != nil {
		return err
	}
	for node, id := range peers.IDs {
		if node != r.Node && len(certificates) > 0 && config.NewDeviceID(certificates[0]) == id {
			return nil
		}
	}
	return errors.New("is no node of this cloud")
}

// accountsOf asks another node.
func (p *pass) accountsOf(ctx context.Context, node string) (map[string]account, error) {
	wanted := p.peers.IDs[node]
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
		MinVersion:           tls.VersionTLS13,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return p.certificate() },
		InsecureSkipVerify:   true, //nolint:gosec // the certificate itself is compared, as Syncthing does
		VerifyPeerCertificate: func(certificates [][]byte, _ [][]*x509.Certificate) error {
			if len(certificates) == 0 || config.NewDeviceID(certificates[0]) != wanted {
				return fmt.Errorf("it isn't %s", node)
			}
			return nil
		},
	}}
	ctx, cancel := context.WithTimeout(ctx, accountTime)
	defer cancel()
	address := net.JoinHostPort(p.settings.Nodes[node].Address, strconv.Itoa(p.settings.AccountPort))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+address+accountPath, nil)
	if err != nil {
		return nil, err
	}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, errors.New(answer.Status)
	}
	all := map[string]account{}
	return all, json.NewDecoder(io.LimitReader(answer.Body, accountLimit)).Decode(&all)
}

// account asks a node for one share.
func (p *pass) account(ctx context.Context, node, share string) *account {
	all, asked := p.given[node]
	if !asked {
		var err error
		if all, err = p.accountsOf(ctx, node); err != nil {
			p.Log.Debug("a node gives no account", "node", node, "because", err)
		}
		p.given[node] = all
	}
	given, has := all[p.settings.Folders[share].ID]
	if !has {
		return nil
	}
	given = p.reception(share, p.state.Shares[share]).owes(node, given)
	return &given
}

// source is a connected node and what it has of a share.
type source struct {
	node string
	Completion
	account *account // nil: it gives none
}

// isComplete decides whether a receiving share has everything: it is idle,
// lacks nothing, and knows the whole index of every connected node that has the
// share, of which one sends. A node that gives no account counts when it has told
// nothing new for long, and one that gives one is then waited for no longer. met
// says that all that is missing is somebody who sends: the nodes know all of each
// other, and there is nobody to wait for.
func isComplete(local FolderStatus, sources []source, silent func(source) bool) (complete, met bool) {
	if !local.has() {
		return false, false
	}
	var sends, receives, waits, unheard bool
	for _, s := range sources {
		switch {
		case s.RemoteState != "valid":
		case s.isWhole() && s.account.Receives:
			receives = true
		case s.isWhole(), s.account == nil && silent(s):
			sends = true
		case s.account == nil, !silent(s):
			waits = true
		default:
			unheard = true
		}
	}
	return sends && !waits, receives && !sends && !waits && !unheard
}

// isWhole says whether all that a node had when it was asked first is known.
func (s source) isWhole() bool {
	return s.account != nil && s.account.Idle && s.Sequence >= s.account.Sequence
}

// has says whether nothing is lacking of what is known.
func (s FolderStatus) has() bool {
	return s.State == "idle" && s.NeedBytes == 0 && s.NeedTotalItems == 0
}
