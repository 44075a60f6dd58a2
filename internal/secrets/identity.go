package secrets

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"filippo.io/age"
)

// Where an age identity may lie: the same places as for sops.
const (
	envIdentity     = "SOPS_AGE_KEY"
	envIdentityFile = "SOPS_AGE_KEY_FILE"
	envConfigHome   = "XDG_CONFIG_HOME"
)

// Keyring is what this machine can open files with.
type Keyring struct {
	identities []age.Identity
	recipients []string // of the identities, in the same order
	looked     []string // where it looked, and what was wrong there
}

// FindKeyring gathers the age identities of this machine from where sops looks
// for them: SOPS_AGE_KEY, the file SOPS_AGE_KEY_FILE, and keys.txt in the
// user's sops folder. Finding none is not an error yet.
func FindKeyring() *Keyring {
	k := &Keyring{}
	if text := os.Getenv(envIdentity); text != "" {
		k.add(envIdentity, strings.NewReader(strings.Join(strings.Fields(text), "\n")))
	} else {
		k.looked = append(k.looked, envIdentity+" (not set)")
	}
	if path := os.Getenv(envIdentityFile); path != "" {
		_, err := os.Stat(path)
		if !k.addFile(path, envIdentityFile+"="+path) && !errors.Is(err, os.ErrNotExist) { // init makes one that isn't there
			slog.Warn("no identity can be read where the environment says one is", "variable", envIdentityFile, "file", path)
		}
	} else {
		k.looked = append(k.looked, envIdentityFile+" (not set)")
	}
	if path, err := defaultIdentityFile(); err == nil {
		k.addFile(path, path)
	}
	return k
}

// addFile tells whether the file held an identity.
func (k *Keyring) addFile(path, place string) bool {
	file, err := os.Open(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		k.looked = append(k.looked, place+" (no such file)")
		return false
	case err != nil:
		k.looked = append(k.looked, place+" (cannot be read)")
		return false
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && info.Mode().Perm()&0o077 != 0 {
		slog.Warn("other users of this machine can read your age identity; run chmod 600", "file", path)
	}
	before := len(k.identities)
	k.add(place, file)
	return len(k.identities) > before
}

// add reads identities, one a line. Errors name the line and never quote it.
func (k *Keyring) add(place string, from io.Reader) {
	found := 0
	scanner := bufio.NewScanner(from)
	for number := 1; scanner.Scan(); number++ {
		line := strings.TrimSpace(scanner.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		identity, recipient, err := parseIdentity(line)
		if err != nil {
			k.looked = append(k.looked, fmt.Sprintf("%s (line %d: %v)", place, number, err))
			continue
		}
		k.identities = append(k.identities, identity)
		k.recipients = append(k.recipients, recipient)
		found++
	}
	if scanner.Err() != nil {
		k.looked = append(k.looked, place+" (cannot be read)")
		return
	}
	k.looked = append(k.looked, fmt.Sprintf("%s (%d)", place, found))
}

func parseIdentity(line string) (age.Identity, string, error) {
	switch {
	case strings.HasPrefix(line, "AGE-SECRET-KEY-PQ-1"):
		if identity, err := age.ParseHybridIdentity(line); err == nil {
			return identity, identity.Recipient().String(), nil
		}
	case strings.HasPrefix(line, "AGE-SECRET-KEY-1"):
		if identity, err := age.ParseX25519Identity(line); err == nil {
			return identity, identity.Recipient().String(), nil
		}
	case strings.HasPrefix(line, "AGE-PLUGIN-"):
		return nil, "", errors.New("age plug-ins are not supported, use sops for this file")
	}
	return nil, "", errors.New("not an age identity")
}

// parseRecipient reads a public key that a file can be encrypted for.
func parseRecipient(text string) (age.Recipient, error) {
	switch {
	case strings.HasPrefix(text, "age1pq1"):
		if recipient, err := age.ParseHybridRecipient(text); err == nil {
			return recipient, nil
		}
	case strings.HasPrefix(text, "age1"):
		if recipient, err := age.ParseX25519Recipient(text); err == nil {
			return recipient, nil
		}
	case strings.HasPrefix(strings.ToUpper(text), "AGE-SECRET-KEY-"):
		return nil, errors.New("this is a secret key, which belongs to nobody but its owner; give the public one, age1…, that `age-keygen -y` prints")
	}
	return nil, fmt.Errorf("%q is not an age recipient; write the public key that age-keygen prints, age1…", text)
}

// Own is the recipient of the first identity found, the one a new file is
// encrypted for; empty when there is none.
func (k *Keyring) Own() string {
	if len(k.recipients) == 0 {
		return ""
	}
	return k.recipients[0]
}

// opensFor tells whether one of the recipients is ours.
func (k *Keyring) opensFor(recipients []string) bool {
	return slices.ContainsFunc(k.recipients, func(own string) bool { return slices.Contains(recipients, own) })
}

// where tells a person which places were searched.
func (k *Keyring) where() string { return strings.Join(k.looked, ", ") }

// defaultIdentityFile is sops' own default, on every system.
func defaultIdentityFile() (string, error) {
	base, err := os.UserConfigDir()
	if xdg := os.Getenv(envConfigHome); runtime.GOOS == "darwin" && xdg != "" {
		base, err = xdg, nil
	}
	if err != nil {
		return "", fmt.Errorf("find the folder for your age identity: %w; set %s", err, envIdentityFile)
	}
	return filepath.Join(base, "sops", "age", "keys.txt"), nil
}

// newIdentityFile makes an age identity in a new file that only its owner can
// read, and gives back its public key. It never overwrites.
func newIdentityFile(path, comment string) (recipient string, err error) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return "", fmt.Errorf("make an age identity: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", fmt.Errorf("make the folder for an age identity: %w", err)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return "", fmt.Errorf("%s exists and is never overwritten; name another file", path)
	}
	if err != nil {
		return "", fmt.Errorf("write an age identity: %w", err)
	}
	// The layout of age-keygen, which age, sops and people know.
	_, err = fmt.Fprintf(file, "%s# created: %s\n# public key: %s\n%s\n",
		comment, time.Now().UTC().Format(time.RFC3339), identity.Recipient(), identity)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return "", errors.Join(fmt.Errorf("write an age identity: %w", err), os.Remove(path))
	}
	return identity.Recipient().String(), nil
}
