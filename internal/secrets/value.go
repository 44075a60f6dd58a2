package secrets

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/deviceidentity"
)

// maxPassword is what SMB clients take.
const maxPassword = 127

// apiKey is what stands in a header of HTTP, and in configuration files, as it is.
var apiKey = regexp.MustCompile("^[!#-&(-_a-~]{16,}$")

// checkValue refuses what can't work under the name. It never quotes a value.
func (f *File) checkValue(name, value string) error {
	switch other := otherHalf(name); {
	case value == "" && other != "":
		return fmt.Errorf("%s: the value is empty; give one, or hcchart secrets init to make a new identity", name)
	case value == "":
		return fmt.Errorf("%s: the value is empty; give one, or --generate", name)
	case other != "":
		return f.checkHalf(name, other, value)
	case !utf8.ValidString(value):
		return fmt.Errorf("%s: the value is not UTF-8 text; type it on this terminal", name)
	case strings.ContainsFunc(value, unicode.IsControl):
		return fmt.Errorf("%s: the value has several lines or control characters; give one line", name)
	case utf8.RuneCountInString(value) > maxPassword:
		return fmt.Errorf("%s: the value is longer than the %d characters that clients take; choose a shorter one", name, maxPassword)
	case name == config.SecretAPIKey && !apiKey.MatchString(value):
		return fmt.Errorf("%s: the value is not an API key; give 16 letters, digits and signs or more, without spaces and quotes, or --generate", name)
	}
	return nil
}

// checkHalf judges a certificate or a key, and whether it fits the other half
// where that is in the file.
func (f *File) checkHalf(name, other, value string) error {
	what, isOne := "a private key", isPrivateKey
	if strings.HasSuffix(name, ".cert") {
		what, isOne = "a certificate", isCertificate
	}
	if !isOne(value) {
		return fmt.Errorf("%s: the value is not %s; give the whole PEM file, from -----BEGIN to -----END", name, what)
	}
	if !f.Has(other) {
		return nil
	}
	there, err := f.Get(other)
	if err != nil {
		return err
	}
	certificate, key := there, value
	if strings.HasSuffix(name, ".cert") {
		certificate, key = value, there
	}
	if _, err := deviceidentity.DeviceOf([]byte(certificate), []byte(key)); err != nil {
		return fmt.Errorf("%s: %w; give the half that belongs to %s", name, err, other)
	}
	return nil
}

func isCertificate(text string) bool {
	block, _ := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE" {
		return false
	}
	_, err := x509.ParseCertificate(block.Bytes)
	return err == nil
}

func isPrivateKey(text string) bool {
	block, rest := pem.Decode([]byte(text))
	for block != nil && !strings.HasSuffix(block.Type, "PRIVATE KEY") { // openssl puts parameters first
		block, rest = pem.Decode(rest)
	}
	if block == nil {
		return false
	}
	_, ec := x509.ParseECPrivateKey(block.Bytes)
	_, pkcs8 := x509.ParsePKCS8PrivateKey(block.Bytes)
	_, pkcs1 := x509.ParsePKCS1PrivateKey(block.Bytes)
	return ec == nil || pkcs8 == nil || pkcs1 == nil
}
