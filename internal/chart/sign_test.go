package chart_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/stretchr/testify/require"
	"helm.sh/helm/v3/pkg/provenance"

	"github.com/tmorin/homecloud/internal/chart"
)

func TestSignerTakesAKeyInAnyForm(t *testing.T) {
	person, err := openpgp.NewEntity("Test", "", "test@example.org", nil)
	require.NoError(t, err)
	var plain, public bytes.Buffer
	require.NoError(t, person.SerializePrivate(&plain, nil))
	require.NoError(t, person.Serialize(&public))
	require.NoError(t, person.EncryptPrivateKeys([]byte("secret"), nil))
	var encrypted, armored bytes.Buffer
	require.NoError(t, person.SerializePrivateWithoutSigning(&encrypted, nil))
	wrapped, err := armor.Encode(&armored, openpgp.PrivateKeyType, nil)
	require.NoError(t, err)
	_, err = wrapped.Write(encrypted.Bytes())
	require.NoError(t, err)
	require.NoError(t, wrapped.Close())

	answers := func(text string) func(string) (string, error) {
		return func(name string) (string, error) {
			require.Contains(t, name, "Test")
			return text, nil
		}
	}
	nobody := func(string) (string, error) { return "", errors.New("nobody to ask") }
	tests := []struct {
		name       string
		key        []byte
		passphrase func(string) (string, error)
		want       string
	}{
		{"plain", plain.Bytes(), nobody, ""},
		{"encrypted", encrypted.Bytes(), answers("secret"), ""},
		{"armored", armored.Bytes(), answers("secret"), ""},
		{"wrong passphrase", armored.Bytes(), answers("sesame"), "checksum failure"},
		{"nobody to ask", encrypted.Bytes(), nobody, "nobody to ask"},
		{"public", public.Bytes(), nobody, "is a public key; signing needs the private one"},
		{"two keys", append(bytes.Clone(plain.Bytes()), plain.Bytes()...), nobody, "holds 2 keys; export the one to sign with"},
		{"cut short", plain.Bytes()[:40], nobody, "is no OpenPGP key"},
		{"empty", nil, nobody, "holds 0 keys"},
	}
	folder := t.TempDir()
	c, err := chart.Load("testdata/library/leaf")
	require.NoError(t, err)
	archive, err := c.Package()
	require.NoError(t, err)
	file, keyring := filepath.Join(folder, archive.Name), filepath.Join(folder, "public.gpg")
	require.NoError(t, os.WriteFile(file, archive.Content, 0o600))
	require.NoError(t, os.WriteFile(keyring, public.Bytes(), 0o600))
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			signer, err := chart.NewSigner(test.key, test.passphrase)
			if test.want != "" {
				require.ErrorContains(t, err, test.want)
				return
			}
			require.NoError(t, err)
			signature, err := signer.Sign(file)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(file+".prov", signature, 0o600))
			verifier, err := provenance.NewFromKeyring(keyring, "")
			require.NoError(t, err)
			_, err = verifier.Verify(file, file+".prov")
			require.NoError(t, err)
		})
	}
}
