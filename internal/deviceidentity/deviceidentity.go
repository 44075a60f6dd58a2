// Package deviceidentity makes and reads what a Syncthing device is known by.
package deviceidentity

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/tmorin/homecloud/internal/config"
)

// identityLifetime is what Syncthing gives the certificates it makes itself.
// Peers compare the certificate's hash and never its dates, so an identity
// isn't renewed: another certificate would be another device.
const identityLifetime = 20 * 365 * 24 * time.Hour

// New makes what a Syncthing node is known by: a private key and a
// self-signed certificate whose hash is the node's device ID. Both come back
// in PEM, ready to be cert.pem and key.pem of a Syncthing home.
func New() (certPEM, keyPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make a Syncthing key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 63))
	if err != nil {
		return nil, nil, fmt.Errorf("make a Syncthing certificate: %w", err)
	}
	// A whole day, as Syncthing does: the certificate is valid on a board whose
	// clock is some hours behind.
	from := time.Now().UTC().Truncate(24 * time.Hour)
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "syncthing"},
		DNSNames:              []string{"syncthing"},
		NotBefore:             from,
		NotAfter:              from.Add(identityLifetime),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, fmt.Errorf("make a Syncthing certificate: %w", err)
	}
	encodedKey, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("encode a Syncthing key: %w", err)
	}
	certPEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})
	keyPEM = pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: encodedKey})
	return certPEM, keyPEM, nil
}

// DeviceOf names the device of a certificate and its private key, both in PEM,
// or says that they aren't a pair. Its errors never quote them.
func DeviceOf(certPEM, keyPEM []byte) (config.DeviceID, error) {
	if len(bytes.TrimSpace(certPEM)) == 0 || len(bytes.TrimSpace(keyPEM)) == 0 {
		return "", errors.New("certificate or key is missing or empty")
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		// The library's own words may quote what it read.
		return "", errors.New("certificate and key are not a pair")
	}
	return config.NewDeviceID(pair.Certificate[0]), nil
}
