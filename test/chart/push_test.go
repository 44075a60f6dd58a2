package chart_test

import (
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/gruntwork-io/terratest/modules/helm"
	"github.com/gruntwork-io/terratest/modules/logger"
	"github.com/stretchr/testify/require"
)

// What hcchart signs and pushes is what Helm pulls and verifies.
func TestHelmVerifiesWhatWasPushed(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	folder := t.TempDir()
	person, err := openpgp.NewEntity("homecloud test", "", "test@example.org", nil)
	require.NoError(t, err)
	private, public := filepath.Join(folder, "private.gpg"), filepath.Join(folder, "public.gpg")
	for file, write := range map[string]func(io.Writer) error{
		private: func(w io.Writer) error { return person.SerializePrivate(w, nil) }, public: person.Serialize,
	} {
		out, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY, 0o600)
		require.NoError(t, err)
		require.NoError(t, write(out))
		require.NoError(t, out.Close())
	}

	text, err := hcchart(t, "package", "--sign", private, "--out", folder, "--without", "longhorn,traefik,kube-prometheus-stack,headlamp,portainer")
	require.NoError(t, err)
	archives := slices.DeleteFunc(strings.Fields(text), func(file string) bool { return !strings.HasSuffix(file, ".tgz") })
	pushed, err := hcchart(t, append([]string{"push", "--to", host + "/charts"}, archives...)...)
	require.NoError(t, err)
	lines := strings.Fields(pushed)
	require.Len(t, lines, len(archives))
	require.Contains(t, lines[len(lines)-1], "/charts/homecloud:", "what is inside of others goes first")

	for _, version := range []string{"helm3", "helm4"} {
		with(t, version)
		for _, reference := range lines {
			// By the digest that was printed, then by the version as people write it.
			into := filepath.Join(t.TempDir(), "pulled")
			require.NoError(t, os.Mkdir(into, 0o700))
			_, err = helm.RunHelmCommandAndGetOutputContextE(t, t.Context(), &helm.Options{Logger: logger.Discard},
				"pull", reference, "--plain-http", "--destination", into)
			require.NoError(t, err)
			place, _, _ := strings.Cut(reference, "@")
			place, tag := place[:strings.LastIndex(place, ":")], place[strings.LastIndex(place, ":")+1:]
			_, err := helm.RunHelmCommandAndGetOutputContextE(t, t.Context(), &helm.Options{Logger: logger.Discard},
				"pull", place, "--version", tag, "--plain-http", "--verify", "--keyring", public, "--destination", into)
			require.NoError(t, err)
			got, err := filepath.Glob(filepath.Join(into, "*.tgz"))
			require.NoError(t, err)
			require.Len(t, got, 2)
			own, err := os.ReadFile(filepath.Join(folder, filepath.Base(place)+"-"+tag+".tgz"))
			require.NoError(t, err)
			for _, file := range got {
				theirs, err := os.ReadFile(file)
				require.NoError(t, err)
				require.Equal(t, own, theirs, file)
			}
		}
	}
}
