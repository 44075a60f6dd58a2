package syncthing

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/mounted"
)

// stateFile lies beside Syncthing's own database: both are about the same
// disk and are lost together.
const stateFile = "homecloud-state.json"

// state is what has to be remembered to tell an emptied disk from a new one.
type state struct {
	Version int                   `json:"version"`
	Device  config.DeviceID       `json:"device,omitempty"`
	Session session               `json:"session"`
	Shares  map[string]shareState `json:"shares"`
}

// shareState is what Syncthing's database knows of a share.
type shareState struct {
	// Generation of the disk that the database describes.
	Generation string `json:"generation"`
	// Receiving: the share has come on another disk, or its index has lost its end,
	// and it first takes what the others have. All other nodes must be there: what
	// is written or scanned now would seem to be newer than what they alone know.
	Receiving bool `json:"receiving,omitempty"`
	// Settling: what differs on the disk from what the others have is to be
	// settled before the share may send.
	Settling bool `json:"settling,omitempty"`
	// Since is when the disk came back: what was written later is a change that
	// somebody has made, not a remnant. Zero: nothing is.
	Since time.Time `json:"since,omitzero"`
	// Uncompared says that there were no others when the share was settled, or began
	// with data: what lies here may be old, and once there are others they are asked
	// first.
	Uncompared bool `json:"uncompared,omitempty"`
	// Behind says that the board has lost power: the index, which Syncthing leaves
	// to the kernel to store, may lack what it knew last, as the disk may. What it
	// lacks is told by the others before anything is settled.
	Behind bool `json:"behind,omitempty"`
	// Stored is the last moment of which the disk knew when it wasn't left in
	// order. Zero: it is another disk.
	Stored time.Time `json:"stored,omitzero"`
}

// lockFile keeps a session from beginning while the reconciler works with what
// it knew of the last one.
const lockFile = "homecloud-state.lock"

// lockState must be held from loading a state to saving it.
func lockState(home string, log *slog.Logger) (unlock func(), err error) {
	file, err := os.OpenFile(filepath.Join(home, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("syncthing: %w", err)
	}
	fd := int(file.Fd())
	if err = unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		log.Debug("another part of homecloud is at work, waiting for it", "home", home)
		for err = unix.EINTR; errors.Is(err, unix.EINTR); {
			err = unix.Flock(fd, unix.LOCK_EX)
		}
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("syncthing: lock %s: %w", file.Name(), err)
	}
	return func() { file.Close() }, nil
}

func loadState(home string) (state, error) {
	s := state{Version: 1, Shares: map[string]shareState{}}
	path := filepath.Join(home, stateFile)
	content, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("syncthing: %w", err)
	}
	if err := json.Unmarshal(content, &s); err != nil {
		return s, fmt.Errorf("syncthing: %s: %w", path, err)
	}
	if s.Version != 1 {
		return s, fmt.Errorf("syncthing: %s has version %d, this release knows version 1", path, s.Version)
	}
	if s.Shares == nil {
		s.Shares = map[string]shareState{}
	}
	return s, nil
}

func (s state) save(home string) error {
	content, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("syncthing: %w", err)
	}
	if _, err := mounted.Replace(filepath.Join(home, stateFile), append(content, '\n'), 0o600); err != nil {
		return fmt.Errorf("syncthing: %w", err)
	}
	return nil
}
