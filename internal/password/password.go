// Package password makes the passwords of people.
package password

import (
	"crypto/rand"
	"math/big"
	"strings"
)

// alphabet leaves out what is mistaken for something else on paper or a
// television: i l o 0 1.
const alphabet = "abcdefghjkmnpqrstuvwxyz23456789"

// New makes a password that can be read out and typed: three groups of six
// characters of 31, 89 bits.
func New() (string, error) {
	var password strings.Builder
	for i := range 18 {
		if i > 0 && i%6 == 0 {
			password.WriteByte('-')
		}
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(alphabet))))
		if err != nil {
			return "", err
		}
		password.WriteByte(alphabet[n.Int64()])
	}
	return password.String(), nil
}
