package config

import (
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
)

// DeviceID names a Syncthing device in the form that people copy: eight groups
// of seven characters, two check characters per half.
type DeviceID string

const (
	deviceAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	deviceGroup    = 13 // characters per check character
)

// NewDeviceID computes the ID of the device that shows this certificate (DER).
func NewDeviceID(certDER []byte) DeviceID {
	sum := sha256.Sum256(certDER)
	plain := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:])
	var checked strings.Builder
	for start := 0; start < len(plain); start += deviceGroup {
		group := plain[start : start+deviceGroup]
		checked.WriteString(group)
		checked.WriteByte(checkCharacter(group))
	}
	return dashed(checked.String())
}

// ParseDeviceID reads an ID as people write it (lower case and missing dashes
// are forgiven) and verifies its check characters. Its errors say what the
// text does: "has …", "holds …".
func ParseDeviceID(text string) (DeviceID, error) {
	plain := strings.ToUpper(strings.NewReplacer("-", "", " ", "").Replace(text))
	for _, r := range plain {
		if !strings.ContainsRune(deviceAlphabet, r) {
			return "", fmt.Errorf("holds %q, which no device ID does (letters and the digits 2 to 7)", r)
		}
	}
	if len(plain) != 4*(deviceGroup+1) {
		return "", fmt.Errorf("has %d characters instead of %d", len(plain), 4*(deviceGroup+1))
	}
	for start := 0; start < len(plain); start += deviceGroup + 1 {
		group := plain[start : start+deviceGroup]
		if plain[start+deviceGroup] != checkCharacter(group) {
			first := start/7 + 1
			return "", fmt.Errorf("has a typing mistake in its groups %d and %d (the check character does not match)", first, first+1)
		}
	}
	if strings.Trim(plain, "A") == "" {
		return "", errors.New("is all A, which Syncthing takes for none")
	}
	// The last group carries 256-3*65 = 61 bits: its four last bits are padding.
	if strings.IndexByte(deviceAlphabet, plain[4*deviceGroup+2])%16 != 0 {
		return "", errors.New("is not the ID of any certificate")
	}
	return dashed(plain), nil
}

// Short is the first group, which Syncthing puts in names of conflict copies.
func (id DeviceID) Short() string {
	short, _, _ := strings.Cut(string(id), "-")
	return short
}

func dashed(plain string) DeviceID {
	groups := make([]string, 0, 8)
	for start := 0; start < len(plain); start += 7 {
		groups = append(groups, plain[start:start+7])
	}
	return DeviceID(strings.Join(groups, "-"))
}

// checkCharacter is Syncthing's variant of Luhn mod 32: it weighs from the
// left, where the textbook weighs from the right.
func checkCharacter(group string) byte {
	const n = len(deviceAlphabet)
	factor, sum := 1, 0
	for i := range len(group) {
		addend := factor * strings.IndexByte(deviceAlphabet, group[i])
		sum += addend/n + addend%n
		factor = 3 - factor
	}
	return deviceAlphabet[(n-sum%n)%n]
}
