package secrets

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	kubeyaml "sigs.k8s.io/yaml"
)

func manifests(t *testing.T) []*corev1.Secret {
	t.Helper()
	f, err := Open(newFile(t))
	require.NoError(t, err)
	all, err := Kubernetes(f, home(), "homecloud", "homecloud")
	require.NoError(t, err)
	var names []string
	for _, secret := range all {
		names = append(names, secret.Name)
	}
	require.Equal(t, KubernetesNames(home(), "homecloud"), names)
	return all
}

func TestManifestShowsNamesAndNoValue(t *testing.T) {
	for _, secret := range manifests(t) {
		text, err := EncryptManifest(secret, []string{FindKeyring().Own()})
		require.NoError(t, err)
		require.Contains(t, string(text), "name: "+secret.Name+"\n")
		for key, value := range secret.Data {
			require.Contains(t, string(text), "\n    "+key+": ENC[")
			require.NotContains(t, string(text), string(value))
			require.NotContains(t, string(text), base64.StdEncoding.EncodeToString(value))
		}
	}
}

func TestManifestIsKnownAgainUntilSomethingChanges(t *testing.T) {
	users := manifests(t)[0]
	second, err := newIdentityFile(filepath.Join(t.TempDir(), "second.txt"), "")
	require.NoError(t, err)
	recipients := []string{FindKeyring().Own()}
	text, err := EncryptManifest(users, recipients)
	require.NoError(t, err)
	require.True(t, HoldsManifest(append([]byte("# a remark\n"), text...), users, recipients))

	require.False(t, HoldsManifest(text, users, append(recipients, second)), "other recipients")
	require.False(t, HoldsManifest([]byte(strings.Replace(string(text), "namespace: homecloud", "namespace: other", 1)), users, recipients))
	require.False(t, HoldsManifest(nil, users, recipients))
	require.False(t, HoldsManifest([]byte("kind: Secret\n"), users, recipients))
	changed := users.DeepCopy()
	changed.Data["alice"] = []byte("another password")
	require.False(t, HoldsManifest(text, changed, recipients))

	// What is added without the key doesn't fit the code, even when it is wanted.
	forged := users.DeepCopy()
	forged.Labels["a"] = "b"
	require.False(t, HoldsManifest([]byte(strings.Replace(string(text), "labels:\n", "labels:\n        a: b\n", 1)), forged, recipients))
}

func TestManifestIsForRecipientsOnly(t *testing.T) {
	_, err := EncryptManifest(manifests(t)[0], []string{"age1nobody"})
	require.ErrorContains(t, err, `"age1nobody" is not an age recipient`)
	_, err = EncryptManifest(manifests(t)[0], nil)
	require.ErrorContains(t, err, "name one")
}

func TestSOPSReadsAndVerifiesManifests(t *testing.T) {
	folder := t.TempDir()
	for _, secret := range manifests(t) {
		text, err := EncryptManifest(secret, []string{FindKeyring().Own()})
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(folder, "secret.yaml"), text, 0o600))
		var got corev1.Secret
		require.NoError(t, kubeyaml.UnmarshalStrict([]byte(sops(t, folder, "decrypt", "secret.yaml")), &got))
		require.Equal(t, *secret, got)

		// What sops wrote is known again: a person may edit such a file.
		sops(t, folder, "rotate", "--in-place", "secret.yaml")
		rotated, err := os.ReadFile(filepath.Join(folder, "secret.yaml"))
		require.NoError(t, err)
		require.True(t, HoldsManifest(rotated, secret, []string{FindKeyring().Own()}))
	}
}
