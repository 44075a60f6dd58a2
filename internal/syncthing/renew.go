package syncthing

import (
	"fmt"
	"log/slog"
	"strings"
)

// Renew makes a share of this node begin anew, as on another disk, though the
// disk is the same: Syncthing's index of it is dropped at the next pass, its
// marker is made, and it receives before it sends. An index that is new
// announces no deletion, so that nothing is lost also where the share was
// emptied; only what was deleted and not announced yet comes back.
//
// It is how a share goes on that has lost its marker. Nobody but a person can
// tell: whether a folder was emptied, is about to be, or lacks the marker alone
// looks the same for a while.
func Renew(home, share string, log *slog.Logger) error {
	unlock, err := lockState(home, log)
	if err != nil {
		return err
	}
	defer unlock()
	state, err := loadState(home)
	if err != nil {
		return err
	}
	memory, known := state.Shares[share]
	if !known {
		return fmt.Errorf("syncthing: no share %q is known here: %s", share, oneOf(sortedKeys(state.Shares)))
	}
	memory.Generation = ""
	state.Shares[share] = memory
	return state.save(home)
}

func oneOf(names []string) string {
	if len(names) == 0 {
		return "this node has had none yet, and nothing is to be done"
	}
	return "write one of " + strings.Join(names, ", ")
}
