package accounts

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tmorin/homecloud/internal/mounted"
)

// Keeper writes the account files from what is mounted.
type Keeper struct {
	Config   string        // file: owner and users
	Users    string        // folder: a mounted Secret, user → password
	Out      string        // folder for passwd, group, smbpasswd
	Interval time.Duration // between two looks; 5 s by default
	Log      *slog.Logger

	disabled []string // as told last
	told     bool
}

// settings is the content of Config.
type settings struct {
	Owner Owner    `json:"owner"`
	Users []string `json:"users"`
}

// Write writes the files once. Files that are right already aren't touched.
func (k *Keeper) Write() error {
	content, err := os.ReadFile(k.Config)
	if err != nil {
		return fmt.Errorf("accounts: %w", err)
	}
	var s settings
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&s); err != nil {
		return fmt.Errorf("accounts: %s: %w", k.Config, err)
	}
	if s.Owner.UID <= 0 || s.Owner.GID <= 0 {
		return fmt.Errorf("accounts: %s: owner needs a uid and a gid above 0", k.Config)
	}
	secrets, err := mounted.Read(k.Users)
	if err != nil {
		return fmt.Errorf("accounts: %w", err)
	}
	files, disabled, err := Render(s.Owner, s.Users, func(user string) (string, bool) {
		word, found := secrets[user]
		return strings.TrimSuffix(string(word), "\n"), found
	})
	if err != nil {
		return fmt.Errorf("accounts: %w", err)
	}
	changed := false
	for _, file := range []struct {
		name    string
		content []byte
		mode    os.FileMode
	}{
		// Samba must never find a name whose Unix account isn't there yet: it
		// would take the person for a guest.
		{"group", files.Group, 0o644},
		{"passwd", files.Passwd, 0o644},
		{"smbpasswd", files.SMBPasswd, 0o600},
	} {
		replaced, err := mounted.Replace(filepath.Join(k.Out, file.name), file.content, file.mode)
		if err != nil {
			return fmt.Errorf("accounts: %w", err)
		}
		changed = changed || replaced
	}
	if changed {
		k.Log.Info("accounts written", "folder", k.Out, "users", len(s.Users))
	}
	if len(disabled) > 0 && (!k.told || !slices.Equal(disabled, k.disabled)) {
		k.Log.Warn("users without a password can't log in", "users", disabled)
	}
	k.disabled, k.told = disabled, true
	return nil
}

// Follow writes the files whenever what is mounted changes, until ctx ends. A
// version that is wrong is told once and changes nothing.
func (k *Keeper) Follow(ctx context.Context) error {
	interval := k.Interval
	if interval == 0 {
		interval = 5 * time.Second
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	last := errors.New("nothing was written yet")
	for {
		err := k.Write()
		if err != nil && err.Error() != last.Error() {
			last = err
			k.Log.Error("the accounts stay as they are", "because", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}
