// Package pki makes the certificates and kubeconfigs of a lab: one authority, one key per
// component.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// validity is long: a lab that was kept for a year should still start.
const validity = 10 * 365 * 24 * time.Hour

// A Dir is a folder of keys, NAME.key and NAME.crt, and kubeconfigs, NAME.conf.
type Dir struct {
	path string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Open reads the authority of a folder, or makes it.
func Open(path string) (*Dir, error) {
	d := &Dir{path: path}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	pair, err := readPair(d.File("ca.crt"), d.File("ca.key"))
	if err == nil {
		d.cert, d.key = pair.cert, pair.key
		return d, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "lab-ca"},
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
	}
	d.cert, d.key, err = d.sign("ca", template, nil)
	return d, err
}

// File is the path of a file of the folder.
func (d *Dir) File(name string) string { return filepath.Join(d.path, name) }

// Subject says whom a certificate names: a user of the API, its groups, and the addresses
// and names a server answers to.
type Subject struct {
	User   string
	Groups []string
	IPs    []string
	Names  []string
}

// Certificate makes NAME.crt and NAME.key unless they exist.
func (d *Dir) Certificate(name string, s Subject) error {
	if _, err := os.Stat(d.File(name + ".crt")); err == nil {
		return nil
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: s.User, Organization: s.Groups},
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:     s.Names,
	}
	for _, ip := range s.IPs {
		template.IPAddresses = append(template.IPAddresses, net.ParseIP(ip))
	}
	_, _, err = d.sign(name, template, d.cert)
	return err
}

// sign writes the key first: a certificate means that both are there.
func (d *Dir) sign(name string, template, parent *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	signer := d.key
	if parent == nil {
		parent, signer = template, key
	}
	// The machine's clock may be a little behind the one that verifies: VMs join the LAN.
	template.NotBefore = time.Now().Add(-time.Hour)
	template.NotAfter = template.NotBefore.Add(validity)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	if err := write(d.File(name+".key"), "EC PRIVATE KEY", keyDER); err != nil {
		return nil, nil, err
	}
	if err := write(d.File(name+".crt"), "CERTIFICATE", der); err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return cert, key, err
}

// ServiceAccountKey makes NAME.key and NAME.pub unless they exist.
func (d *Dir) ServiceAccountKey(name string) error {
	if _, err := os.Stat(d.File(name + ".pub")); err == nil {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	if err := write(d.File(name+".key"), "EC PRIVATE KEY", private); err != nil {
		return err
	}
	return write(d.File(name+".pub"), "PUBLIC KEY", public)
}

// Kubeconfig is a kubeconfig with everything inside, for the certificate of that name.
func (d *Dir) Kubeconfig(name, cluster, server string) ([]byte, error) {
	var parts [3]string
	for i, file := range []string{"ca.crt", name + ".crt", name + ".key"} {
		b, err := os.ReadFile(d.File(file))
		if err != nil {
			return nil, err
		}
		parts[i] = base64.StdEncoding.EncodeToString(b)
	}
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters:
- name: %[1]s
  cluster:
    server: %[2]s
    certificate-authority-data: %[3]s
users:
- name: %[1]s
  user:
    client-certificate-data: %[4]s
    client-key-data: %[5]s
contexts:
- name: %[1]s
  context:
    cluster: %[1]s
    user: %[1]s
current-context: %[1]s
`, cluster, server, parts[0], parts[1], parts[2]), nil
}

func write(path, kind string, der []byte) error {
	temporary := path + ".new"
	if err := os.WriteFile(temporary, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

type pair struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func readPair(certFile, keyFile string) (pair, error) {
	certDER, err := readPEM(certFile)
	if err != nil {
		return pair{}, err
	}
	keyDER, err := readPEM(keyFile)
	if err != nil {
		return pair{}, err
	}
	cert, err := x509.ParseCertificate(certDER)
	if err != nil {
		return pair{}, fmt.Errorf("%s: %w", certFile, err)
	}
	key, err := x509.ParseECPrivateKey(keyDER)
	if err != nil {
		return pair{}, fmt.Errorf("%s: %w", keyFile, err)
	}
	return pair{cert, key}, nil
}

func readPEM(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("%s: no PEM block", path)
	}
	return block.Bytes, nil
}
