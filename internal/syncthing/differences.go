package syncthing

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/tmorin/homecloud/internal/config"
)

// settleDifferences settles what differs on a disk that wasn't left in order,
// or that has come from elsewhere, from what the others are known to have. The
// share only receives, nobody scans it but us, and all devices are paused: what
// the others are known to have stays the same meanwhile. What differs is one of
// three:
//
//   - missing here: the others' version is to come back. It may have been
//     deleted here in the last moment; a file too many harms nobody.
//   - damaged, or other than what the others have: set aside.
//   - unknown to the others: set aside, too, if anything is to be reverted.
//
// Reverting makes Syncthing believe the others again, but deletes what they
// don't have. So everything that lies here is set aside before; it is put back
// when the share sends again. It goes on where it was interrupted: what was set
// aside lies on the disk. It returns false when it has to be called again.
func (p *pass) settleDifferences(ctx context.Context, share string, current object, memory shareState) (bool, error) {
	id := p.settings.Folders[share].ID
	if !p.hasOthers(share) {
		return true, nil // nobody to be told anything
	}
	if _, loud := merged(current, quiet); loud {
		return false, nil // it is made quiet first
	}
	if alone, err := p.isAlone(ctx); err != nil || !alone {
		return false, err
	}
	// Syncthing calls a folder idle whose first scan has failed: it would seem to
	// differ in nothing.
	scanned, err := p.client.lastScan(ctx, id)
	if err != nil {
		return false, err
	}
	if !p.isScanned(share, scanned) {
		return false, p.client.beginScan(ctx, id)
	}
	status, err := p.client.Folder(ctx, id)
	if err == nil && status.State == "error" {
		// Nobody scans a quiet folder but us, and a scan is what ends the state.
		err = errors.Join(fmt.Errorf("stopped by Syncthing: %s", status.Error), p.client.beginScan(ctx, id))
	}
	if err != nil || status.State != "idle" {
		return false, err
	}
	damagedNames, err := p.damaged(ctx, share, memory)
	if err != nil {
		return false, err
	}
	stuck := map[string]bool{}
	if err := p.setAside(share, damagedNames, stuck, func(fs.FileInfo) group { return damaged }); err != nil {
		return false, err
	}
	found, err := p.differences(ctx, id)
	if err != nil {
		return false, err
	}
	// What was set aside in this pass, or in one that was interrupted.
	aside, err := p.asideNames(share)
	if err != nil {
		return false, err
	}
	if len(aside) == 0 && found.missing == 0 && found.equal == 0 && len(found.unequal) == found.unknown {
		return true, nil // nothing to revert: what lies here is only unknown to the others
	}
	err = p.setAside(share, found.unequal, stuck, func(info fs.FileInfo) group {
		if writtenSince(info, memory.Since) {
			return since
		}
		return before
	})
	if err != nil {
		return false, err
	}
	if err := p.failpoint("set aside"); err != nil {
		return false, err
	}
	if aside, err = p.asideNames(share); err != nil {
		return false, err
	}
	if len(aside) > 0 {
		// Syncthing must know that they are missing, or the revert leaves them out and
		// they are announced as deleted.
		if err := p.scanAll(ctx, id, aside); err != nil {
			return false, err
		}
		p.Log.Info("the disk differs from what the others have", "share", share,
			"missing", found.missing, "damaged", len(damagedNames), "set aside", len(aside))
		if found, err = p.differences(ctx, id); err != nil {
			return false, err
		}
		for _, name := range found.unequal {
			if !stuck[name] && !found.folders[name] {
				return false, nil // somebody has written it anew: once more
			}
		}
	}
	if reverted, err := p.revert(ctx, id, stuck); err != nil || !reverted {
		return false, err
	}
	return true, p.failpoint("reverted")
}

// isScanned says whether a scan went through since Syncthing's start, and since
// the share was given up. A clock that was set back meanwhile makes every moment
// seem to be before: then a scan that is another than the first one seen counts.
func (p *pass) isScanned(share string, last time.Time) bool {
	first, seen := p.firstScan[share]
	if !seen {
		p.firstScan[share] = last
	}
	after := last.After(p.started) && last.After(p.looked[share])
	return after || seen && !last.Equal(first)
}

// isAlone says whether all other devices are paused and gone. A connection may
// come into being in the moment of the pause, and Syncthing then keeps it: it
// closes connections only when a pause begins.
func (p *pass) isAlone(ctx context.Context) (bool, error) {
	for _, device := range p.has.Devices {
		if text(device, "deviceID") != string(p.peers.IDs[p.Node]) && device["paused"] != true {
			return false, nil
		}
	}
	connected, err := p.client.connected(ctx)
	if err != nil || !anyOf(connected) {
		p.clinging = time.Time{}
		return err == nil, err
	}
	if p.clinging.IsZero() {
		p.clinging = time.Now()
	}
	if time.Since(p.clinging) < p.Silence {
		return false, nil
	}
	p.clinging = time.Time{}
	for _, device := range p.has.Devices {
		if !connected[config.DeviceID(text(device, "deviceID"))] {
			continue
		}
		p.Log.Warn("a device is paused and stays connected: it is paused anew", "device", text(device, "name"))
		for _, paused := range []bool{false, true} {
			again, _ := merged(device, object{"paused": paused})
			if err := p.client.putDevice(ctx, again); err != nil {
				return false, err
			}
		}
	}
	return false, nil
}

// revertLimit is how long to wait for a revert in one pass.
const revertLimit = 10 * time.Second

// revert reverts and returns true when nothing is left of the changes but
// folders that aren't empty, and what couldn't be set aside. Syncthing answers
// before it has done it, and forgets it when the folder is set anew: what was
// missing would be announced as deleted.
func (p *pass) revert(ctx context.Context, id string, stuck map[string]bool) (bool, error) {
	if err := p.client.revert(ctx, id); err != nil {
		return false, err
	}
	for begin := time.Now(); time.Since(begin) < revertLimit; {
		left := 0
		err := p.client.localChanges(ctx, id, func(change entry) {
			if (change.Deleted || change.Type != folderType) && !stuck[change.Name] {
				left++
			}
		})
		if err != nil || left == 0 {
			return err == nil, err
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return false, nil
}

// differences is what Syncthing lists as local changes of a share that receives.
// It may be long: only names are kept.
type differences struct {
	missing int      // here
	equal   int      // in content to what the others have
	unequal []string // names of what lies here and isn't
	unknown int      // of these, to the others
	folders map[string]bool
}

func (p *pass) differences(ctx context.Context, id string) (differences, error) {
	var found differences
	var lying []string
	err := p.client.localChanges(ctx, id, func(change entry) {
		if change.Deleted {
			found.missing++
		} else {
			lying = append(lying, change.Name)
		}
	})
	if err != nil {
		return differences{}, err
	}
	found.folders = map[string]bool{}
	for _, name := range lying {
		known, err := p.client.entries(ctx, id, name)
		if err != nil {
			return differences{}, err
		}
		if same(known.Local, known.Global) {
			found.equal++
			continue
		}
		found.unequal = append(found.unequal, name)
		if !known.Global.exists() {
			found.unknown++
		}
		if known.Local.Type == folderType {
			found.folders[name] = true
		}
	}
	return found, nil
}

// same says whether what lies here is what the others have.
func same(here, global entry) bool {
	switch {
	case !global.exists() || here.Type != global.Type:
		return false
	case here.Type == folderType:
		return true
	case here.Type == fileType:
		return here.Size == global.Size && bytes.Equal(here.BlocksHash, global.BlocksHash)
	}
	return false // where a link leads isn't told
}

// scanAll tells Syncthing to look at some names, not too many in one URL.
func (p *pass) scanAll(ctx context.Context, id string, names []string) error {
	const portion = 100
	for len(names) > 0 {
		n := min(portion, len(names))
		if err := p.client.scan(ctx, id, names[:n]...); err != nil {
			return err
		}
		names = names[n:]
	}
	return nil
}

// hasOthers says whether anybody could be told what isn't true.
func (p *pass) hasOthers(share string) bool {
	return p.hasPeers() || len(p.settings.Folders[share].Devices) > 0
}
