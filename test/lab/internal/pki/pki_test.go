package pki

import (
	"crypto/x509"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

func TestCertificatesAreTrustedAndKept(t *testing.T) {
	dir := t.TempDir()
	d, err := Open(dir)
	require.NoError(t, err)
	subject := Subject{User: "system:node:node-1", Groups: []string{"system:nodes"}, IPs: []string{"10.77.0.11"}, Names: []string{"node-1"}}
	require.NoError(t, d.Certificate("node-1", subject))

	pool := x509.NewCertPool()
	authority, err := os.ReadFile(d.File("ca.crt"))
	require.NoError(t, err)
	require.True(t, pool.AppendCertsFromPEM(authority))
	pair, err := readPair(d.File("node-1.crt"), d.File("node-1.key"))
	require.NoError(t, err)
	for _, name := range []string{"node-1", "10.77.0.11"} {
		_, err = pair.cert.Verify(x509.VerifyOptions{Roots: pool, DNSName: name})
		require.NoError(t, err)
	}
	_, err = pair.cert.Verify(x509.VerifyOptions{Roots: pool, DNSName: "node-2"})
	require.Error(t, err)
	require.Equal(t, subject.Groups, pair.cert.Subject.Organization)
	require.True(t, pair.key.PublicKey.Equal(pair.cert.PublicKey))

	// The next start must find the very same keys: the cluster's data is signed with them.
	again, err := Open(dir)
	require.NoError(t, err)
	require.NoError(t, again.Certificate("node-1", Subject{User: "somebody else"}))
	kept, err := readPair(d.File("node-1.crt"), d.File("node-1.key"))
	require.NoError(t, err)
	require.Equal(t, pair.cert.Raw, kept.cert.Raw)
}

func TestKubeconfigHoldsEverything(t *testing.T) {
	d, err := Open(t.TempDir())
	require.NoError(t, err)
	require.NoError(t, d.Certificate("admin", Subject{User: "admin"}))
	b, err := d.Kubeconfig("admin", "lab", "https://127.0.0.1:1234")
	require.NoError(t, err)
	var got struct {
		CurrentContext string `json:"current-context"`
		Clusters       []struct {
			Cluster struct {
				Server string
				Data   []byte `json:"certificate-authority-data"`
			}
		}
		Users []struct {
			User struct {
				Key []byte `json:"client-key-data"`
			}
		}
	}
	require.NoError(t, yaml.Unmarshal(b, &got))
	require.Equal(t, "lab", got.CurrentContext)
	require.Equal(t, "https://127.0.0.1:1234", got.Clusters[0].Cluster.Server)
	authority, err := os.ReadFile(d.File("ca.crt"))
	require.NoError(t, err)
	require.Equal(t, authority, got.Clusters[0].Cluster.Data)
	require.NotEmpty(t, got.Users[0].User.Key)
}
