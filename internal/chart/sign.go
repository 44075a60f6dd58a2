package chart

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/ProtonMail/go-crypto/openpgp"
	"helm.sh/helm/v3/pkg/provenance"
)

// Signer signs archives as Helm does; helm verify and helm install --verify
// check what it wrote.
type Signer struct{ signatory provenance.Signatory }

// NewSigner reads a private OpenPGP key, as gpg --export-secret-keys writes it,
// armored or not. passphrase is asked when the key is encrypted, with the name
// that it bears.
func NewSigner(key []byte, passphrase func(name string) (string, error)) (*Signer, error) {
	read := openpgp.ReadKeyRing
	if bytes.HasPrefix(bytes.TrimSpace(key), []byte("-----BEGIN")) {
		read = openpgp.ReadArmoredKeyRing
	}
	keys, err := read(bytes.NewReader(key))
	switch {
	case err != nil:
		return nil, fmt.Errorf("is no OpenPGP key: %w", err)
	case len(keys) != 1:
		return nil, fmt.Errorf("holds %d keys; export the one to sign with: gpg --export-secret-keys NAME", len(keys))
	case keys[0].PrivateKey == nil:
		return nil, errors.New("is a public key; signing needs the private one: gpg --export-secret-keys NAME")
	}
	s := &Signer{provenance.Signatory{Entity: keys[0]}}
	return s, s.signatory.DecryptKey(func(name string) ([]byte, error) {
		text, err := passphrase(name)
		return []byte(text), err
	})
}

// Sign returns what goes beside the archive, as its name and .prov.
func (s *Signer) Sign(archive string) ([]byte, error) {
	text, err := s.signatory.ClearSign(archive)
	return []byte(text), err
}
