package deploy

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/kube"
	"github.com/tmorin/homecloud/internal/secrets"
	"github.com/tmorin/homecloud/internal/term"
)

// prepare does the steps of up that are about secrets.
func prepare(t *testing.T, client *fake.Clientset, path, file string, dry bool) (changes []string, output string) {
	t.Helper()
	var out bytes.Buffer
	u := &Up{Cluster: parse(t, file), SecretsPath: path, Kube: &kube.Cluster{Client: client}, Steps: term.NewSteps(&out), DryRun: dry}
	require.NoError(t, u.step(t.Context(), "secrets file", u.secretsFile))
	require.NoError(t, u.step(t.Context(), "Secrets", u.secrets))
	return u.changes, out.String()
}

// copyOf is a cluster with the same Secrets: the fake one knows no dry run.
func copyOf(t *testing.T, client *fake.Clientset) *fake.Clientset {
	t.Helper()
	list, err := client.CoreV1().Secrets(config.Release).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	copied := fake.NewClientset()
	for i := range list.Items {
		list.Items[i].ManagedFields = nil
		_, err := copied.CoreV1().Secrets(config.Release).Create(context.Background(), &list.Items[i], metav1.CreateOptions{})
		require.NoError(t, err)
	}
	return copied
}

func TestDryRunTellsOfSecretsWhatTheRunDoes(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("SOPS_AGE_KEY_FILE", filepath.Join(folder, "keys.txt"))
	path := filepath.Join(folder, "homecloud.secrets.yaml")
	three := strings.Replace(oneBoard, "{name: alice, admin: true}", "{name: alice, admin: true}, {name: bob}, {name: carol}", 1)
	client := fake.NewClientset()
	prepare(t, client, path, three, false)

	// What changes is named, and never its value.
	renamed := strings.Replace(three, "carol", "caroline", 1)
	require.NoError(t, secrets.Change(t.Context(), path, func(f *secrets.File) error { return f.Set(parse(t, three), "users.bob", "another password") }))
	foreseen, output := prepare(t, copyOf(t, client), path, renamed, true)
	require.Equal(t, []string{path + ": generate users.caroline", "Secret homecloud-users: add caroline, change bob, remove carol"}, foreseen)
	require.Contains(t, output, "✓ secrets file: would generate users.caroline")
	require.Contains(t, output, "✓ Secrets: would change homecloud-users (add caroline, change bob, remove carol)")
	done, output := prepare(t, client, path, renamed, false)
	require.Equal(t, foreseen, done)
	require.NotContains(t, output, "another password")
	done, output = prepare(t, client, path, renamed, false)
	require.Empty(t, done)
	require.Contains(t, output, "✓ secrets file: complete")

	// Without the file all is taken from the cluster.
	require.NoError(t, os.Remove(path))
	foreseen, _ = prepare(t, copyOf(t, client), path, renamed, true)
	require.NoFileExists(t, path)
	done, output = prepare(t, client, path, renamed, false)
	require.Equal(t, foreseen, done)
	require.Equal(t, "create "+path, done[0])
	require.Contains(t, done[1], "take from the cluster syncthing.apiKey")
	require.Len(t, done, 2)
	require.Contains(t, output, "✓ Secrets: unchanged")
	live, err := client.CoreV1().Secrets(config.Release).Get(t.Context(), "homecloud-users", metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, "another password", string(live.Data["bob"]))
}
