package gate

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Status is what a gate tells a probe.
type Status struct {
	Open   bool   `json:"open"`
	Reason string `json:"reason"`
}

// ReadStatus reads a status file.
func ReadStatus(path string) (Status, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return Status{Reason: "the gate hasn't begun"}, nil
	}
	if err != nil {
		return Status{}, fmt.Errorf("read the gate's status: %w", err)
	}
	var s Status
	if err := json.Unmarshal(content, &s); err != nil {
		return Status{}, fmt.Errorf("read the gate's status: %s: %w", path, err)
	}
	return s, nil
}

// status is the file a gate writes; without a path it writes none.
type status struct{ path string }

func (s status) write(open bool, reason string) error {
	if s.path == "" {
		return nil
	}
	content, err := json.Marshal(Status{Open: open, Reason: reason})
	if err != nil {
		return err
	}
	temporary := filepath.Join(filepath.Dir(s.path), "."+filepath.Base(s.path)+".new")
	if err := os.WriteFile(temporary, append(content, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the gate's status: %w", err)
	}
	if err := os.Rename(temporary, s.path); err != nil {
		return fmt.Errorf("write the gate's status: %w", err)
	}
	return nil
}
