// Package accounts turns the people of a home and their passwords into the
// files that Samba and the name service read: passwd, group and smbpasswd. It
// knows no share: who may open what is Samba's configuration.
package accounts

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/crypto/md4" //nolint:staticcheck // an NT hash is MD4, whatever one thinks of it

	"github.com/tmorin/homecloud/internal/config"
)

// Owner owns every file of a share, whichever account wrote it.
type Owner struct {
	UID int `json:"uid"`
	GID int `json:"gid"`
}

// OwnerName is the Unix name of the owner, for `force user` and `force group`.
const OwnerName = "homecloud"

// Files is what Samba and the name service read.
type Files struct {
	Passwd    []byte // world-readable, no password in it
	Group     []byte
	SMBPasswd []byte // holds the NT hashes
}

// Uids of people. A uid is derived from the name alone, so that a user keeps
// it (and with it the Windows SID, which Samba computes from it) whoever else
// comes and goes, on every node, without a memory. With 2^30 places, two of
// ten people meet with a chance of one in twenty million; then the later name
// in the alphabet takes the next free place.
const (
	uidBase  = 1 << 20
	uidRange = 1 << 30
)

// lastChange is the date of every password, in Unix seconds: Samba wants one,
// and one that changed by itself would rewrite the file at each start.
const lastChange = 0x67000000

var validName = regexp.MustCompile(`^[a-z0-9_][a-z0-9_.-]{0,31}$`)

// reserved says whether a name has a meaning already.
func reserved(name string) bool {
	return name == "guest" || name == OwnerName || slices.Contains(config.SystemAccounts, name)
}

// Render computes the files. Passwords are looked up by user; a user without
// one gets a disabled account and is named in disabled.
func Render(owner Owner, users []string, password func(user string) (string, bool)) (files Files, disabled []string, err error) {
	uids, err := UIDs(owner, users)
	if err != nil {
		return Files{}, nil, err
	}
	names := slices.Sorted(slices.Values(users))
	var passwd, group, smb strings.Builder
	fmt.Fprintf(&passwd, "%s:x:%d:%d:owner of the shares:/nonexistent:/usr/sbin/nologin\n", OwnerName, owner.UID, owner.GID)
	fmt.Fprintf(&group, "%s:x:%d:\n", OwnerName, owner.GID)
	for _, name := range names {
		fmt.Fprintf(&passwd, "%s:x:%d:%d::/nonexistent:/usr/sbin/nologin\n", name, uids[name], owner.GID)
		word, found := password(name)
		hash, flags := noHash, "[DU         ]"
		if found && word != "" {
			if !utf8.ValidString(word) {
				return Files{}, nil, fmt.Errorf("the password of %s isn't UTF-8 text", name)
			}
			hash, flags = NTHash(word), "[U          ]"
		} else {
			disabled = append(disabled, name)
		}
		fmt.Fprintf(&smb, "%s:%d:%s:%s:%s:LCT-%08X:\n", name, uids[name], noHash, hash, flags, lastChange)
	}
	return Files{Passwd: []byte(passwd.String()), Group: []byte(group.String()), SMBPasswd: []byte(smb.String())}, disabled, nil
}

// noHash stands where a hash isn't: nothing hashes to it.
const noHash = "XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX"

// NTHash is what Windows and Samba keep of a password: MD4 of its UTF-16LE.
func NTHash(password string) string {
	hash := md4.New()
	for _, unit := range utf16.Encode([]rune(password)) {
		hash.Write([]byte{byte(unit), byte(unit >> 8)})
	}
	return strings.ToUpper(hex.EncodeToString(hash.Sum(nil)))
}

// UIDs gives every user a uid of their own. All that is wrong with the names
// is told at once.
func UIDs(owner Owner, users []string) (map[string]int, error) {
	var problems []error
	names := slices.Clone(users)
	sort.Strings(names)
	taken := map[int]bool{owner.UID: true}
	uids := make(map[string]int, len(names))
	for _, name := range names {
		switch {
		case !validName.MatchString(name):
			problems = append(problems, fmt.Errorf("%q can't be the name of an account: use a-z, 0-9, _, ., -", name))
			continue
		case reserved(name):
			problems = append(problems, fmt.Errorf("%q is an account of the system: choose another name", name))
			continue
		case uids[name] != 0:
			problems = append(problems, fmt.Errorf("%q is there twice", name))
			continue
		}
		sum := sha256.Sum256([]byte(name))
		place := int(binary.BigEndian.Uint32(sum[:]) % uidRange)
		for taken[uidBase+place] {
			place = (place + 1) % uidRange
		}
		taken[uidBase+place] = true
		uids[name] = uidBase + place
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return uids, nil
}
