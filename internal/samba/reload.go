// Package samba makes a running smbd follow its configuration.
package samba

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/tmorin/homecloud/internal/mounted"
)

// Run runs one of Samba's own programs and returns what it writes.
type Run func(program string, arguments ...string) ([]byte, error)

// Reloading is a running smbd and its configuration.
type Reloading struct {
	Configuration string // file: smb.conf
	// Applied is the file that remembers the configuration that connections
	// were judged by last.
	Applied string
	PIDFile string // of smbd: what was applied before its start counts no more
	Run     Run
}

// Reload makes smbd and its connections read the configuration again, and
// closes the connections of those who may do less with a share than before.
// Others go on: a person's copying isn't interrupted because another one got an
// account. Samba's own close-denied-share judges by the share's forced user,
// and would close them all.
func (r Reloading) Reload() error {
	content, err := os.ReadFile(r.Configuration)
	if err != nil {
		return fmt.Errorf("samba: %w", err)
	}
	before, known, err := r.applied()
	if err != nil {
		return err
	}
	if _, err := r.Run("smbcontrol", "--configfile="+r.Configuration, "all", "reload-config"); err != nil {
		return err
	}
	connections, err := r.connections()
	if err != nil {
		return err
	}
	shares := parse(content)
	for _, c := range connections {
		had := write
		// Somebody whose account is gone already has only a number: nobody knows what
		// they might do.
		if known && (c.user == guest || listed(before, c.user) || listed(shares, c.user)) {
			had = before[c.share].access(c.user)
		}
		if has := shares[c.share].access(c.user); has != none && has >= had {
			continue
		}
		if _, err := r.Run("smbcontrol", "--configfile="+r.Configuration, c.pid, "close-share", c.share); err != nil {
			return err
		}
	}
	if _, err := mounted.Replace(r.Applied, content, 0o600); err != nil {
		return fmt.Errorf("samba: %w", err)
	}
	return nil
}

// applied is what this smbd's connections were judged by last, if that is known.
func (r Reloading) applied() (map[string]*share, bool, error) {
	started, err := os.Stat(r.PIDFile)
	if err != nil {
		return nil, false, fmt.Errorf("samba: smbd hasn't begun: %w", err)
	}
	info, err := os.Stat(r.Applied)
	if errors.Is(err, os.ErrNotExist) || err == nil && info.ModTime().Before(started.ModTime()) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("samba: %w", err)
	}
	content, err := os.ReadFile(r.Applied)
	if err != nil {
		return nil, false, fmt.Errorf("samba: %w", err)
	}
	return parse(content), true, nil
}

// access is what somebody may do with a share.
type access int

const (
	none access = iota
	read
	write
)

// guest is who has no account.
const guest = "nobody"

// listed says whether any share names somebody.
func listed(shares map[string]*share, user string) bool {
	for _, s := range shares {
		if slices.Contains(s.users, user) || slices.Contains(s.writers, user) {
			return true
		}
	}
	return false
}

// share is who may do what, as our smb.conf says it.
type share struct {
	guests         bool
	users, writers []string
}

// access is none for a share that isn't there.
func (s *share) access(user string) access {
	switch {
	case s == nil:
		return none
	case slices.Contains(s.writers, user):
		return write
	case s.guests || slices.Contains(s.users, user):
		return read
	}
	return none
}

// parse reads the shares of a configuration that our chart has written.
func parse(configuration []byte) map[string]*share {
	shares := map[string]*share{}
	current := &share{}
	for lines := bufio.NewScanner(bytes.NewReader(configuration)); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if name, found := strings.CutPrefix(line, "["); found {
			current = &share{}
			if name = strings.TrimSuffix(name, "]"); name != "global" {
				shares[name] = current
			}
			continue
		}
		key, value, _ := strings.Cut(line, "=")
		switch strings.TrimSpace(key) {
		case "guest ok":
			current.guests = strings.TrimSpace(value) == "yes"
		case "valid users":
			current.users = strings.Fields(value)
		case "write list":
			current.writers = strings.Fields(value)
		}
	}
	return shares
}

// connection is somebody's use of a share.
type connection struct{ pid, user, share string }

func (r Reloading) connections() ([]connection, error) {
	output, err := r.Run("smbstatus", "--configfile="+r.Configuration, "--json")
	if err != nil {
		return nil, err
	}
	var status struct {
		Sessions map[string]struct {
			User string `json:"username"`
		} `json:"sessions"`
		Connections map[string]struct {
			Share   string `json:"service"`
			Session string `json:"session_id"`
			Server  struct {
				PID string `json:"pid"`
			} `json:"server_id"`
		} `json:"tcons"`
	}
	if err := json.Unmarshal(output, &status); err != nil {
		return nil, fmt.Errorf("samba: smbstatus: %w", err)
	}
	var connections []connection
	for _, id := range slices.Sorted(maps.Keys(status.Connections)) {
		if c := status.Connections[id]; c.Share != "IPC$" {
			connections = append(connections, connection{c.Server.PID, status.Sessions[c.Session].User, c.Share})
		}
	}
	return connections, nil
}
