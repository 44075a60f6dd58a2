// Package clustersecrets makes the Secrets of a release that are missing in
// the cluster, for those who install the chart without hcchart. It keeps what
// exists and never gives a node another identity.
package clustersecrets

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/deviceidentity"
	"github.com/tmorin/homecloud/internal/password"
)

// Settings says which Secrets a release needs.
type Settings struct {
	Release          string   `json:"release"`
	Nodes            []string `json:"nodes"`
	Users            []string `json:"users"`
	UsersSecret      string   `json:"usersSecret"`
	PeersSecret      string   `json:"peersSecret"`
	NodeSecretPrefix string   `json:"nodeSecretPrefix"`
}

// LoadSettings reads and checks the settings.
func LoadSettings(path string) (Settings, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return Settings{}, fmt.Errorf("secrets: %w", err)
	}
	var s Settings
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&s); err != nil {
		return Settings{}, fmt.Errorf("secrets: %s: %w", path, err)
	}
	if s.Release == "" || s.UsersSecret == "" || s.PeersSecret == "" || s.NodeSecretPrefix == "" {
		return Settings{}, fmt.Errorf("secrets: %s: release, usersSecret, peersSecret and nodeSecretPrefix must be set", path)
	}
	return s, nil
}

// Keys inside the Secrets.
const (
	certificateKey = "cert.pem"
	privateKey     = "key.pem"
	apiKey         = "apiKey"
)

// attempts is how often all is looked at anew when somebody else changes the
// same Secrets.
const attempts = 5

// Ensure makes what is missing. All refusals are told at once, before
// anything is made.
func Ensure(ctx context.Context, client *Client, s Settings, log *slog.Logger) error {
	for range attempts {
		err := ensure(ctx, client, s, log)
		if !errors.Is(err, errConflict) {
			return err
		}
	}
	return fmt.Errorf("secrets: %w, again and again", errConflict)
}

func ensure(ctx context.Context, client *Client, s Settings, log *slog.Logger) error {
	peers, err := client.get(ctx, s.PeersSecret)
	if err != nil {
		return err
	}
	users, err := client.get(ctx, s.UsersSecret)
	if err != nil {
		return err
	}
	known := map[string]config.DeviceID{}
	var create []string
	var refusals []error
	for _, node := range s.Nodes {
		secret, err := client.get(ctx, s.NodeSecretPrefix+node)
		if err != nil {
			return err
		}
		id, err := s.judge(node, secret, peers)
		switch {
		case err != nil:
			refusals = append(refusals, err)
		case id == "":
			create = append(create, node)
		default:
			known[node] = id
		}
	}
	if err := errors.Join(refusals...); err != nil {
		return err
	}
	// A node's own Secret first: if this ends in between, the peers' Secret is
	// completed from it the next time.
	for _, node := range create {
		certificate, key, err := deviceidentity.New()
		if err != nil {
			return fmt.Errorf("secrets: %w", err)
		}
		if known[node], err = deviceidentity.DeviceOf(certificate, key); err != nil {
			return fmt.Errorf("secrets: %w", err)
		}
		name := s.NodeSecretPrefix + node
		if err := s.put(ctx, client, nil, name, map[string][]byte{certificateKey: certificate, privateKey: key}); err != nil {
			return err
		}
		log.Info("identity made", "node", node, "secret", name, "id", known[node])
	}
	missing := map[string][]byte{}
	for node, id := range known {
		if peers == nil || len(peers.Data[node]) == 0 {
			missing[node] = []byte(id)
		}
	}
	if peers == nil || len(peers.Data[apiKey]) == 0 {
		missing[apiKey] = []byte(rand.Text())
	}
	if err := s.put(ctx, client, peers, s.PeersSecret, missing); err != nil {
		return err
	}
	if len(missing) > 0 {
		log.Info("peers written", "secret", s.PeersSecret, "nodes", len(known))
	}
	return s.ensureUsers(ctx, client, users, log)
}

// judge returns the identity of a node, or none when the node never had one.
// What was known to the peers and is gone isn't made anew: the data on the
// node's disk and the other nodes' memory belong to the old one.
func (s Settings) judge(node string, secret, peers *Secret) (config.DeviceID, error) {
	var expected config.DeviceID
	if peers != nil {
		expected = config.DeviceID(strings.TrimSpace(string(peers.Data[node])))
	}
	name := s.NodeSecretPrefix + node
	if secret == nil {
		if expected != "" {
			return "", fmt.Errorf("secrets: the Secret %s is gone, but %s knows node %s as %s: a node is never given another identity; restore the Secret, or remove the key %q from %s on purpose",
				name, s.PeersSecret, node, expected, node, s.PeersSecret)
		}
		return "", nil
	}
	id, err := deviceidentity.DeviceOf(secret.Data[certificateKey], secret.Data[privateKey])
	if err != nil {
		return "", fmt.Errorf("secrets: the Secret %s holds no identity (%w): restore it, or remove it on purpose", name, err)
	}
	if expected != "" && expected != id {
		return "", fmt.Errorf("secrets: the Secret %s is the identity of %s, but %s knows node %s as %s: restore the one that was changed",
			name, id, s.PeersSecret, node, expected)
	}
	return id, nil
}

func (s Settings) ensureUsers(ctx context.Context, client *Client, users *Secret, log *slog.Logger) error {
	missing := map[string][]byte{}
	for _, user := range s.Users {
		if users != nil {
			// One that is there and empty is disabled on purpose.
			if _, exists := users.Data[user]; exists {
				continue
			}
		}
		made, err := password.New()
		if err != nil {
			return fmt.Errorf("secrets: %w", err)
		}
		missing[user] = []byte(made)
	}
	if users == nil || len(missing) > 0 {
		if err := s.put(ctx, client, users, s.UsersSecret, missing); err != nil {
			return err
		}
	}
	for user := range missing {
		log.Info("password made", "user", user, "secret", s.UsersSecret)
	}
	return nil
}

// put creates a Secret or adds what it lacks.
func (s Settings) put(ctx context.Context, client *Client, existing *Secret, name string, missing map[string][]byte) error {
	if existing == nil {
		return client.create(ctx, Secret{
			Metadata: Metadata{Name: name, Labels: map[string]string{
				"app.kubernetes.io/name":       "dnas",
				"app.kubernetes.io/instance":   s.Release,
				"app.kubernetes.io/managed-by": "homecloud-agent",
			}},
			Data: missing,
		})
	}
	if len(missing) == 0 {
		return nil
	}
	return client.add(ctx, existing, missing)
}
