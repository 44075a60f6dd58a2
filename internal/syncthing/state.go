package syncthing

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

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
	Shares  map[string]shareState `json:"shares"`
}

// shareState is what Syncthing's database knows of a share.
type shareState struct {
	// Generation of the disk that the database describes.
	Generation string `json:"generation"`
	// Receiving: the share has come on another disk and first takes what the
	// peers have.
	Receiving bool `json:"receiving,omitempty"`
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
