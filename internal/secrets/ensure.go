package secrets

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/deviceidentity"
	"github.com/tmorin/homecloud/internal/password"
)

// Report says what Ensure did, by name and never by value.
type Report struct {
	Created   bool     `json:"created"` // the file itself is new
	Generated []string `json:"generated"`
	Imported  []string `json:"imported"` // taken from the live cluster
	Kept      []string `json:"kept"`
	Surplus   []string `json:"surplus"` // kept, though the cluster doesn't need it
}

// Ensure makes the secrets that the cluster needs and the file lacks. What is
// there stays. An identity of which half is missing is never completed: the
// new half would make another device of the node.
func (f *File) Ensure(cluster *config.Cluster) (Report, error) {
	report := Report{Surplus: f.Surplus(cluster)}
	var problems []error
	for _, node := range cluster.DNAS.Nodes {
		problems = append(problems, f.checkIdentity(node))
	}
	for _, name := range Needed(cluster) {
		if f.Has(name) {
			_, err := f.Get(name)
			problems = append(problems, err)
		}
	}
	if err := errors.Join(problems...); err != nil {
		return report, err
	}
	for _, name := range Needed(cluster) {
		if f.Has(name) {
			report.Kept = append(report.Kept, name)
		}
	}
	if len(cluster.DNAS.Nodes) > 0 {
		if err := f.ensure(&report, config.SecretAPIKey, func() (string, error) { return rand.Text(), nil }); err != nil {
			return report, err
		}
	}
	for _, node := range cluster.DNAS.Nodes {
		if f.Has(config.SecretCertificate(node)) {
			continue
		}
		certificate, key, err := deviceidentity.New()
		if err != nil {
			return report, err
		}
		pair := map[string][]byte{config.SecretCertificate(node): certificate, config.SecretKey(node): key}
		for _, name := range []string{config.SecretCertificate(node), config.SecretKey(node)} {
			if err := f.ensure(&report, name, func() (string, error) { return string(pair[name]), nil }); err != nil {
				return report, err
			}
		}
	}
	for _, user := range cluster.Users {
		if err := f.ensure(&report, config.SecretUser(user.Name), password.New); err != nil {
			return report, err
		}
	}
	return report, nil
}

func (f *File) ensure(report *Report, name string, generate func() (string, error)) error {
	if f.Has(name) {
		return nil
	}
	value, err := generate()
	if err != nil {
		return err
	}
	report.Generated = append(report.Generated, name)
	return f.set(name, value)
}

// checkIdentity refuses half an identity, and two halves that don't fit.
func (f *File) checkIdentity(node string) error {
	if !f.Has(config.SecretCertificate(node)) && !f.Has(config.SecretKey(node)) {
		return nil
	}
	_, err := f.Identity(node)
	return err
}

// checkHalves refuses half an identity.
func (f *File) checkHalves(node string) error {
	certificate, key := config.SecretCertificate(node), config.SecretKey(node)
	if f.Has(certificate) != f.Has(key) {
		there, missing := certificate, key
		if f.Has(key) {
			there, missing = key, certificate
		}
		return fmt.Errorf("%s: %s: is missing while %s is there; a new pair would make another device of %s, so %s, or give up the identity on purpose: hcchart secrets unset %s",
			f.doc.file, missing, there, node, restore, there)
	}
	return nil
}

// Identity gives the Syncthing device that a node is. It verifies that
// certificate and key belong together.
func (f *File) Identity(node string) (config.DeviceID, error) {
	if err := f.checkHalves(node); err != nil {
		return "", err
	}
	certificate, err := f.Get(config.SecretCertificate(node))
	if err != nil {
		return "", err
	}
	key, err := f.Get(config.SecretKey(node))
	if err != nil {
		return "", err
	}
	id, err := deviceidentity.DeviceOf([]byte(certificate), []byte(key))
	if err != nil {
		return "", fmt.Errorf("%s: syncthing.%s: %w; %s", f.doc.file, node, err, restore)
	}
	return id, nil
}

// Set writes a value that a person gives. It refuses names that the cluster
// doesn't know, values that can't work, and another identity for a node that
// has one.
func (f *File) Set(cluster *config.Cluster, name, value string) error {
	if err := f.MayChange(cluster, name); err != nil {
		return err
	}
	if err := f.checkValue(name, value); err != nil {
		return err
	}
	return f.set(name, value)
}

// Generate replaces a password or the API key by a new one.
func (f *File) Generate(cluster *config.Cluster, name string) error {
	if err := f.MayChange(cluster, name); err != nil {
		return err
	}
	if name == config.SecretAPIKey {
		return f.set(name, rand.Text())
	}
	if !strings.HasPrefix(name, "users.") {
		return fmt.Errorf("%s: certificate and key are made together; hcchart secrets init makes both", name)
	}
	made, err := password.New()
	if err != nil {
		return err
	}
	return f.set(name, made)
}

// Unset removes entries: surplus ones, or an identity that is given up. Half an
// identity is never left behind.
func (f *File) Unset(names []string) error {
	var problems []error
	for _, name := range names {
		other := otherHalf(name)
		switch {
		case f.doc.find(name) != nil && f.Has(other) && !slices.Contains(names, other):
			problems = append(problems, fmt.Errorf("%s: %s: is half of an identity, and %s would be left alone; give up both: hcchart secrets unset %s %s",
				f.doc.file, name, other, name, other))
		case f.doc.find(name) == nil:
			message := fmt.Sprintf("%s: %s: is not in the file", f.doc.file, name)
			if near := nearest(name, f.Names()); near != "" {
				message += "; did you mean " + near + "?"
			}
			problems = append(problems, errors.New(message))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return err
	}
	for _, name := range names {
		f.doc.unset(name)
		f.changed = true
	}
	return nil
}

// MayChange tells whether Set and Generate would take the name.
func (f *File) MayChange(cluster *config.Cluster, name string) error {
	if err := checkName(cluster, name); err != nil {
		return err
	}
	for _, node := range cluster.DNAS.Nodes {
		if (name == config.SecretCertificate(node) || name == config.SecretKey(node)) && f.Has(name) {
			return fmt.Errorf("%s: %s has an identity, and another one would make another device of it, unknown to its peers; to do that on purpose: hcchart secrets unset %s %s",
				name, node, config.SecretCertificate(node), config.SecretKey(node))
		}
	}
	return nil
}
