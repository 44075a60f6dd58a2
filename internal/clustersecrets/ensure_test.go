package clustersecrets_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/tmorin/homecloud/internal/clustersecrets"
	"github.com/tmorin/homecloud/internal/config"
)

// api speaks the few words of the Secrets API that the client uses, with the
// server's rules about names that exist and versions that are old. That a real
// API server agrees is TestRealAPIServerAgrees.
type api struct {
	lock    sync.Mutex
	secrets map[string]clustersecrets.Secret
	version int
	last    string // once this Secret is there, further changes only break the connection
}

func newAPI(t *testing.T) (*api, *clustersecrets.Client) {
	t.Helper()
	a := &api{secrets: map[string]clustersecrets.Secret{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/namespaces/cloud/secrets/{name}", a.get)
	mux.HandleFunc("POST /api/v1/namespaces/cloud/secrets", a.create)
	mux.HandleFunc("PATCH /api/v1/namespaces/cloud/secrets/{name}", a.patch)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return a, &clustersecrets.Client{HTTP: server.Client(), Server: server.URL, Namespace: "cloud",
		Token: func() (string, error) { return "token", nil }}
}

func fail(w http.ResponseWriter, code int, message string) {
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]any{"kind": "Status", "message": message})
}

func (a *api) get(w http.ResponseWriter, r *http.Request) {
	a.lock.Lock()
	defer a.lock.Unlock()
	if r.Header.Get("Authorization") != "Bearer token" {
		fail(w, http.StatusUnauthorized, "Unauthorized")
		return
	}
	secret, found := a.secrets[r.PathValue("name")]
	if !found {
		fail(w, http.StatusNotFound, "not found")
		return
	}
	_ = json.NewEncoder(w).Encode(secret)
}

func (a *api) hangUp() {
	if _, there := a.secrets[a.last]; there {
		panic(http.ErrAbortHandler)
	}
}

func (a *api) create(w http.ResponseWriter, r *http.Request) {
	var secret clustersecrets.Secret
	if err := json.NewDecoder(r.Body).Decode(&secret); err != nil || secret.Kind != "Secret" {
		fail(w, http.StatusBadRequest, fmt.Sprint(err))
		return
	}
	a.lock.Lock()
	defer a.lock.Unlock()
	a.hangUp()
	if _, exists := a.secrets[secret.Metadata.Name]; exists {
		fail(w, http.StatusConflict, "already exists")
		return
	}
	a.put(secret)
	w.WriteHeader(http.StatusCreated)
}

func (a *api) patch(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	a.lock.Lock()
	defer a.lock.Unlock()
	a.hangUp()
	var patch clustersecrets.Secret
	if err := json.NewDecoder(r.Body).Decode(&patch); err != nil || r.Header.Get("Content-Type") != "application/merge-patch+json" {
		fail(w, http.StatusBadRequest, fmt.Sprint(err))
		return
	}
	secret := a.secrets[name]
	if patch.Metadata.ResourceVersion != secret.Metadata.ResourceVersion {
		fail(w, http.StatusConflict, "the object has been modified")
		return
	}
	secret.Data = maps.Clone(secret.Data)
	maps.Copy(secret.Data, patch.Data)
	a.put(secret)
}

func (a *api) put(secret clustersecrets.Secret) {
	a.version++
	secret.Metadata.ResourceVersion = fmt.Sprint(a.version)
	a.secrets[secret.Metadata.Name] = secret
}

var settings = clustersecrets.Settings{
	Release: "homecloud", Nodes: []string{"node-1", "node-2"}, Users: []string{"alice", "bob"},
	UsersSecret: "homecloud-users", PeersSecret: "homecloud-dnas-syncthing-peers", NodeSecretPrefix: "homecloud-dnas-syncthing-",
}

func ensure(t *testing.T, client *clustersecrets.Client, s clustersecrets.Settings) (string, error) {
	t.Helper()
	log := &bytes.Buffer{}
	err := clustersecrets.Ensure(context.Background(), client, s, slog.New(slog.NewTextHandler(log, nil)))
	return log.String(), err
}

func TestEverythingMissingIsMadeOnce(t *testing.T) {
	a, client := newAPI(t)
	log, err := ensure(t, client, settings)
	require.NoError(t, err)
	require.Equal(t, []string{"homecloud-dnas-syncthing-node-1", "homecloud-dnas-syncthing-node-2", "homecloud-dnas-syncthing-peers", "homecloud-users"},
		slices.Sorted(maps.Keys(a.secrets)))
	peers := a.secrets[settings.PeersSecret].Data
	require.Len(t, peers, 3)
	require.GreaterOrEqual(t, len(peers["apiKey"]), 26)
	for _, node := range settings.Nodes {
		_, err := config.ParseDeviceID(string(peers[node]))
		require.NoError(t, err)
	}
	users := a.secrets[settings.UsersSecret].Data
	require.Len(t, users, 2)
	require.NotEqual(t, users["alice"], users["bob"])
	require.Regexp(t, `^[a-hjkmnp-z2-9]{6}(-[a-hjkmnp-z2-9]{6}){2}$`, string(users["alice"]))
	require.NotContains(t, log, string(users["alice"]), "passwords are not logged")
	require.NotContains(t, log, string(peers["apiKey"]))
	require.Equal(t, "homecloud", a.secrets[settings.UsersSecret].Metadata.Labels["app.kubernetes.io/instance"])

	version := a.version
	log, err = ensure(t, client, settings)
	require.NoError(t, err)
	require.Equal(t, version, a.version, "the second time changes nothing")
	require.Empty(t, log)
}

func TestGrownClusterKeepsWhatItHas(t *testing.T) {
	a, client := newAPI(t)
	small := settings
	small.Nodes, small.Users = []string{"node-1"}, []string{"alice"}
	_, err := ensure(t, client, small)
	require.NoError(t, err)
	before := maps.Clone(a.secrets)

	_, err = ensure(t, client, settings)
	require.NoError(t, err)
	require.Equal(t, before["homecloud-dnas-syncthing-node-1"], a.secrets["homecloud-dnas-syncthing-node-1"])
	for name, key := range map[string]string{settings.PeersSecret: "node-1", settings.UsersSecret: "alice"} {
		require.Equal(t, before[name].Data[key], a.secrets[name].Data[key])
	}
	require.Equal(t, before[settings.PeersSecret].Data["apiKey"], a.secrets[settings.PeersSecret].Data["apiKey"])
	require.Contains(t, a.secrets[settings.PeersSecret].Data, "node-2")
	require.Contains(t, a.secrets[settings.UsersSecret].Data, "bob")

	_, err = ensure(t, client, small)
	require.NoError(t, err)
	require.Contains(t, a.secrets[settings.UsersSecret].Data, "bob", "what is no longer named stays")
}

func TestIdentityIsNeverReplaced(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(a *api)
		want  string
	}{
		{"a node's Secret is gone", func(a *api) { delete(a.secrets, "homecloud-dnas-syncthing-node-1") }, "never given another identity"},
		{"its key is gone", func(a *api) { delete(a.secrets["homecloud-dnas-syncthing-node-1"].Data, "key.pem") }, "holds no identity"},
		{"its certificate is empty", func(a *api) { a.secrets["homecloud-dnas-syncthing-node-1"].Data["cert.pem"] = nil }, "holds no identity"},
		{"it is another node's", func(a *api) {
			a.secrets["homecloud-dnas-syncthing-node-1"] = a.secrets["homecloud-dnas-syncthing-node-2"]
		}, "restore the one that was changed"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a, client := newAPI(t)
			_, err := ensure(t, client, settings)
			require.NoError(t, err)
			test.spoil(a)
			// Also what could be made isn't, as long as something is refused.
			delete(a.secrets, settings.UsersSecret)
			version := a.version
			_, err = ensure(t, client, settings)
			require.ErrorContains(t, err, test.want)
			require.Equal(t, version, a.version)
		})
	}
}

func TestAllRefusalsAreToldAtOnce(t *testing.T) {
	a, client := newAPI(t)
	_, err := ensure(t, client, settings)
	require.NoError(t, err)
	delete(a.secrets, "homecloud-dnas-syncthing-node-1")
	delete(a.secrets, "homecloud-dnas-syncthing-node-2")
	_, err = ensure(t, client, settings)
	require.ErrorContains(t, err, "node-1")
	require.ErrorContains(t, err, "node-2")
}

func TestLostPeersAreFoundInTheIdentities(t *testing.T) {
	a, client := newAPI(t)
	_, err := ensure(t, client, settings)
	require.NoError(t, err)
	before := a.secrets[settings.PeersSecret].Data
	delete(a.secrets, settings.PeersSecret)
	_, err = ensure(t, client, settings)
	require.NoError(t, err)
	for _, node := range settings.Nodes {
		require.Equal(t, before[node], a.secrets[settings.PeersSecret].Data[node])
	}
}

func TestInterruptedRunIsFinished(t *testing.T) {
	for _, last := range []string{"homecloud-dnas-syncthing-node-1", "homecloud-dnas-syncthing-node-2", settings.PeersSecret} {
		t.Run("after "+last, func(t *testing.T) {
			a, client := newAPI(t)
			a.last = last
			_, err := ensure(t, client, settings)
			require.Error(t, err)
			a.lock.Lock()
			a.last = ""
			identity := a.secrets["homecloud-dnas-syncthing-node-1"]
			a.lock.Unlock()
			_, err = ensure(t, client, settings)
			require.NoError(t, err)
			require.Len(t, a.secrets, 4)
			require.Equal(t, identity, a.secrets["homecloud-dnas-syncthing-node-1"])
		})
	}
}

func TestTwoJobsAtOnceAgree(t *testing.T) {
	a, client := newAPI(t)
	var group sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		group.Go(func() { _, errs[i] = ensure(t, client, settings) })
	}
	group.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	_, err := ensure(t, client, settings)
	require.NoError(t, err, "identities and peers belong together")
	require.Len(t, a.secrets, 4)
}

func TestEmptyPasswordIsDisabledOnPurpose(t *testing.T) {
	a, client := newAPI(t)
	_, err := ensure(t, client, settings)
	require.NoError(t, err)
	a.secrets[settings.UsersSecret].Data["bob"] = []byte{}
	_, err = ensure(t, client, settings)
	require.NoError(t, err)
	require.Empty(t, a.secrets[settings.UsersSecret].Data["bob"])
}

func TestRefusalOfTheServerIsTold(t *testing.T) {
	_, client := newAPI(t)
	client.Token = func() (string, error) { return "other", nil }
	_, err := ensure(t, client, settings)
	require.ErrorContains(t, err, "get Secret homecloud-dnas-syncthing-peers: 401 Unauthorized: Unauthorized")
}

func TestSettingsMustBeComplete(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secrets.json")
	for content, want := range map[string]string{
		`{}`: "must be set", `{"relaese":"x"}`: "unknown field", `[`: "unexpected EOF",
	} {
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		_, err := clustersecrets.LoadSettings(path)
		require.ErrorContains(t, err, want)
	}
}

// The same against a real API server, in the namespace "default".
func TestRealAPIServerAgrees(t *testing.T) {
	path := os.Getenv("HOMECLOUD_TEST_KUBECONFIG")
	if path == "" {
		t.Skip("needs HOMECLOUD_TEST_KUBECONFIG, a cluster to play with: make test-daemons brings one")
	}
	access, err := clientcmd.BuildConfigFromFlags("", path)
	require.NoError(t, err)
	transport, err := rest.HTTPClientFor(access)
	require.NoError(t, err)
	// The client certificate is in the transport.
	client := &clustersecrets.Client{HTTP: transport, Server: access.Host, Namespace: "default", Token: func() (string, error) { return "", nil }}
	s := settings
	prefix := "test-" + strings.ToLower(rand.Text()[:8]) + "-"
	s.UsersSecret, s.PeersSecret, s.NodeSecretPrefix = prefix+"users", prefix+"peers", prefix+"node-"
	api, err := kubernetes.NewForConfig(access)
	require.NoError(t, err)
	names := []string{s.UsersSecret, s.PeersSecret, s.NodeSecretPrefix + "node-1", s.NodeSecretPrefix + "node-2"}
	t.Cleanup(func() {
		for _, name := range names {
			assert.NoError(t, api.CoreV1().Secrets("default").Delete(context.Background(), name, metav1.DeleteOptions{}))
		}
	})
	small := s
	small.Nodes, small.Users = []string{"node-1"}, nil
	for _, step := range []clustersecrets.Settings{small, s} {
		_, err := ensure(t, client, step)
		require.NoError(t, err)
	}
	log, err := ensure(t, client, s)
	require.NoError(t, err)
	require.Empty(t, log)
	for _, name := range names {
		secret, err := api.CoreV1().Secrets("default").Get(t.Context(), name, metav1.GetOptions{})
		require.NoError(t, err)
		require.Equal(t, "homecloud-agent", secret.Labels["app.kubernetes.io/managed-by"])
		require.NotEmpty(t, secret.Data)
	}
}
