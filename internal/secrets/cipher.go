package secrets

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
)

const (
	dataKeySize = 32
	// nonceSize is SOPS' choice, not AES-GCM's usual 12 bytes.
	nonceSize = 32
	tagSize   = 16
)

// The types that SOPS remembers of a value, so that decrypting gives back a
// number for a number. This package writes strings only.
const (
	kindString  = "str"
	kindComment = "comment"
	kindNull    = "null" // not SOPS' word: an empty value, which SOPS leaves alone
)

var knownKinds = map[string]bool{
	kindString: true, kindComment: true,
	"int": true, "float": true, "bool": true, "bytes": true, "time": true,
}

var encrypted = regexp.MustCompile(`^ENC\[AES256_GCM,data:([A-Za-z0-9+/=]+),iv:([A-Za-z0-9+/=]+),tag:([A-Za-z0-9+/=]+),type:([a-z]+)\]$`)

var (
	errNotEncrypted = errors.New("not an encrypted value")
	errWrongPlace   = errors.New("not what was encrypted under this name")
)

// seal encrypts one value as SOPS does. The context binds the ciphertext to
// its place: moved to another name it doesn't open.
func seal(dataKey, plain []byte, kind, context string) (string, error) {
	if len(plain) == 0 {
		return "", nil // SOPS leaves empty values as they are
	}
	gcm, err := newGCM(dataKey, nonceSize)
	if err != nil {
		return "", err
	}
	nonce := make([]byte, nonceSize)
	if _, err := rand.Read(nonce); err != nil {
		return "", err
	}
	sealed := gcm.Seal(nil, nonce, plain, []byte(context))
	data, tag := sealed[:len(sealed)-tagSize], sealed[len(sealed)-tagSize:]
	encode := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("ENC[AES256_GCM,data:%s,iv:%s,tag:%s,type:%s]", encode(data), encode(nonce), encode(tag), kind), nil
}

// unseal is the way back.
func unseal(dataKey []byte, sealed, context string) (plain []byte, kind string, err error) {
	if sealed == "" {
		return nil, kindString, nil
	}
	parts := encrypted.FindStringSubmatch(sealed)
	if parts == nil || !knownKinds[parts[4]] {
		return nil, "", errNotEncrypted
	}
	var decoded [3][]byte
	for i := range decoded {
		if decoded[i], err = base64.StdEncoding.DecodeString(parts[i+1]); err != nil {
			return nil, "", errNotEncrypted
		}
	}
	data, nonce, tag := decoded[0], decoded[1], decoded[2]
	if len(nonce) == 0 || len(tag) != tagSize {
		return nil, "", errNotEncrypted
	}
	gcm, err := newGCM(dataKey, len(nonce))
	if err != nil {
		return nil, "", err
	}
	plain, err = gcm.Open(nil, nonce, append(data, tag...), []byte(context))
	if err != nil {
		return nil, "", errWrongPlace
	}
	return plain, parts[4], nil
}

func newGCM(dataKey []byte, nonce int) (cipher.AEAD, error) {
	block, err := aes.NewCipher(dataKey)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithNonceSize(block, nonce)
}

// contextOf is SOPS' additional data of a top-level value: the path's parts,
// each followed by a colon.
func contextOf(name string) string { return name + ":" }

// commentContext is the additional data of a top-level comment: the path of
// what it stands in, which is empty.
const commentContext = ":"
