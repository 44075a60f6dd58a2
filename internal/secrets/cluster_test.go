package secrets

import (
	"context"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/tmorin/homecloud/internal/config"
)

// The API server of these tests is client-go's own, in memory; the scenarios in
// test/e2e meet a real one.

func secretsOf(t *testing.T, path string) []*corev1.Secret {
	t.Helper()
	f, err := Open(path)
	require.NoError(t, err)
	secrets, err := Kubernetes(f, home(), "homecloud", "cloud")
	require.NoError(t, err)
	return secrets
}

func liveSecret(t *testing.T, client kubernetes.Interface, name string) *corev1.Secret {
	t.Helper()
	secret, err := client.CoreV1().Secrets("cloud").Get(t.Context(), name, metav1.GetOptions{})
	require.NoError(t, err)
	return secret
}

func TestKubernetesSecretsHoldWhatTheChartsRead(t *testing.T) {
	secrets := secretsOf(t, newFile(t))
	byName := map[string]*corev1.Secret{}
	for _, secret := range secrets {
		require.Equal(t, "cloud", secret.Namespace)
		byName[secret.Name] = secret
	}
	require.Len(t, byName, 4)
	require.Len(t, byName["homecloud-users"].Data, 2)
	peers := byName["homecloud-dnas-syncthing-peers"]
	require.Len(t, peers.Data, 3)
	require.NotEmpty(t, peers.Data["apiKey"])
	for _, node := range []string{"node-1", "node-2"} {
		identity := byName["homecloud-dnas-syncthing-"+node]
		require.Len(t, identity.Data, 2)
		block, _ := pem.Decode(identity.Data["cert.pem"])
		require.Equal(t, config.NewDeviceID(block.Bytes), config.DeviceID(peers.Data[node]))
	}
}

func TestMissingSecretNamesTheCommandThatMakesIt(t *testing.T) {
	path := newFile(t)
	f, err := Open(path)
	require.NoError(t, err)
	cluster := home()
	cluster.Users = append(cluster.Users, config.User{Name: "carol"})
	_, err = Kubernetes(f, cluster, "homecloud", "cloud")
	require.ErrorContains(t, err, "users.carol: is missing; hcchart secrets init makes what is missing")
}

func TestApplyTwiceChangesNothingTheSecondTime(t *testing.T) {
	path := newFile(t)
	client := fake.NewClientset()
	changed, err := Apply(t.Context(), client.CoreV1(), secretsOf(t, path))
	require.NoError(t, err)
	require.Len(t, changed, 4)

	changed, err = Apply(t.Context(), client.CoreV1(), secretsOf(t, path))
	require.NoError(t, err)
	require.Empty(t, changed)

	require.NoError(t, Change(t.Context(), path, func(f *File) error { return f.Set(home(), "users.bob", "new") }))
	changed, err = Apply(t.Context(), client.CoreV1(), secretsOf(t, path))
	require.NoError(t, err)
	require.Equal(t, []string{"homecloud-users"}, changed)
	require.Equal(t, "new", string(liveSecret(t, client, "homecloud-users").Data["bob"]))
}

func TestCompareWritesNothing(t *testing.T) {
	client := fake.NewClientset()
	changed, err := Compare(t.Context(), client.CoreV1(), secretsOf(t, newFile(t)))
	require.NoError(t, err)
	require.Len(t, changed, 4)
	// The memory server doesn't know dry runs: what counts is what was asked of it.
	for _, action := range client.Actions() {
		if patch, isPatch := action.(clienttesting.PatchActionImpl); isPatch {
			require.Equal(t, []string{metav1.DryRunAll}, patch.PatchOptions.DryRun)
			continue
		}
		require.Equal(t, "get", action.GetVerb())
	}
}

func TestUserOfTheFileNoLongerIsTakenOutOfTheSecret(t *testing.T) {
	path := newFile(t)
	client := fake.NewClientset()
	_, err := Apply(t.Context(), client.CoreV1(), secretsOf(t, path))
	require.NoError(t, err)
	f, err := Open(path)
	require.NoError(t, err)
	fewer := home()
	fewer.Users = fewer.Users[:1]
	secrets, err := Kubernetes(f, fewer, "homecloud", "cloud")
	require.NoError(t, err)
	changed, err := Apply(t.Context(), client.CoreV1(), secrets)
	require.NoError(t, err)
	require.Equal(t, []string{"homecloud-users"}, changed)
	require.NotContains(t, liveSecret(t, client, "homecloud-users").Data, "bob")
}

func TestClusterWithAnotherIdentityIsNotTouched(t *testing.T) {
	client := fake.NewClientset()
	_, err := Apply(t.Context(), client.CoreV1(), secretsOf(t, newFile(t)))
	require.NoError(t, err)
	users := liveSecret(t, client, "homecloud-users")

	other := secretsOf(t, newFile(t))
	_, err = Apply(t.Context(), client.CoreV1(), other)
	var rekey *RekeyError
	require.ErrorAs(t, err, &rekey)
	require.ErrorContains(t, err, "hcchart secrets init --from-cluster")
	require.Equal(t, users.Data, liveSecret(t, client, "homecloud-users").Data)

	// The same when only the peers still know the node.
	require.NoError(t, client.CoreV1().Secrets("cloud").Delete(t.Context(), "homecloud-dnas-syncthing-node-1", metav1.DeleteOptions{}))
	require.NoError(t, client.CoreV1().Secrets("cloud").Delete(t.Context(), "homecloud-dnas-syncthing-node-2", metav1.DeleteOptions{}))
	_, err = Apply(t.Context(), client.CoreV1(), other)
	require.ErrorAs(t, err, &rekey)
	require.Equal(t, "homecloud-dnas-syncthing-peers", rekey.Secret)
}

func TestLostFileIsImportedFromTheCluster(t *testing.T) {
	path := newFile(t)
	client := fake.NewClientset()
	_, err := Apply(t.Context(), client.CoreV1(), secretsOf(t, path))
	require.NoError(t, err)
	live := Live{Client: client.CoreV1(), Release: "homecloud", Namespace: "cloud"}
	values := func(ctx context.Context) (map[string]string, error) { return live.Values(ctx, home()) }

	again := filepath.Join(t.TempDir(), "homecloud.secrets.yaml")
	report, err := Init(t.Context(), again, home(), InitOptions{Live: values})
	require.NoError(t, err)
	require.Len(t, report.Imported, 7)
	require.Empty(t, report.Generated)
	require.Empty(t, report.Kept)
	changed, err := Apply(t.Context(), client.CoreV1(), secretsOf(t, again))
	require.NoError(t, err)
	require.Empty(t, changed)
}

func TestFileWithOtherIdentitiesTakesThoseOfTheClusterWhenAsked(t *testing.T) {
	client := fake.NewClientset()
	_, err := Apply(t.Context(), client.CoreV1(), secretsOf(t, newFile(t)))
	require.NoError(t, err)
	other := newFile(t)
	before, err := os.ReadFile(other)
	require.NoError(t, err)
	live := Live{Client: client.CoreV1(), Release: "homecloud", Namespace: "cloud"}
	report, err := Init(t.Context(), other, home(), InitOptions{
		Live:       func(ctx context.Context) (map[string]string, error) { return live.Values(ctx, home()) },
		PreferLive: true,
	})
	require.NoError(t, err)
	require.Equal(t, []string{"syncthing.node-1.cert", "syncthing.node-1.key", "syncthing.node-2.cert", "syncthing.node-2.key"}, report.Imported)
	require.Equal(t, []string{"syncthing.apiKey", "users.alice", "users.bob"}, report.Differing)
	former, err := os.ReadFile(report.Former)
	require.NoError(t, err)
	require.Equal(t, before, former, "the cluster's may be the wrong ones")
	changed, err := Apply(t.Context(), client.CoreV1(), secretsOf(t, other))
	require.NoError(t, err)
	require.Equal(t, []string{"homecloud-users", "homecloud-dnas-syncthing-peers"}, changed, "passwords and the API key are the file's")

	again, err := Init(t.Context(), other, home(), InitOptions{
		Live:       func(ctx context.Context) (map[string]string, error) { return live.Values(ctx, home()) },
		PreferLive: true,
	})
	require.NoError(t, err)
	require.Empty(t, again.Former)
}

func TestNodeWhoseKeyIsGoneGetsNoNewOne(t *testing.T) {
	client := fake.NewClientset()
	_, err := Apply(t.Context(), client.CoreV1(), secretsOf(t, newFile(t)))
	require.NoError(t, err)
	require.NoError(t, client.CoreV1().Secrets("cloud").Delete(t.Context(), "homecloud-dnas-syncthing-node-1", metav1.DeleteOptions{}))
	live := Live{Client: client.CoreV1(), Release: "homecloud", Namespace: "cloud"}
	path := filepath.Join(t.TempDir(), "homecloud.secrets.yaml")
	_, err = Init(t.Context(), path, home(), InitOptions{
		Live: func(ctx context.Context) (map[string]string, error) { return live.Values(ctx, home()) },
	})
	require.ErrorContains(t, err, "Secret homecloud-dnas-syncthing-node-1 with its key is gone")
	require.NoFileExists(t, path)
}

func TestCompleteFileDoesNotAskTheCluster(t *testing.T) {
	path := newFile(t)
	_, err := Init(t.Context(), path, home(), InitOptions{
		Live: func(context.Context) (map[string]string, error) { return nil, errors.New("asked") },
	})
	require.NoError(t, err)
}
