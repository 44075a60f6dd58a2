package syncthing

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"
)

// settleDifferences settles what differs on a disk that wasn't left in order,
// or that has come from elsewhere, from what the others have. The share only
// receives and nobody scans it but us. What differs is one of three:
//
//   - missing here: the others' version comes back. It may have been deleted
//     here in the last moment; a file too many harms nobody.
//   - damaged, older than what the others have, or written in the moment that
//     the disk was torn away: the others' version comes back, and what lies here
//     stays beside it as a conflict copy.
//   - unknown to the others, or changed by somebody since the disk is here: it
//     stays as it is.
//
// Reverting makes Syncthing believe the others again, but deletes what they
// don't have. So everything that lies here is set aside before, and put back
// after. It goes on where it was interrupted: what was set aside lies on the
// disk. It returns false when it has to be called again.
func (p *pass) settleDifferences(ctx context.Context, share string, current object, memory shareState) (bool, error) {
	id := p.settings.Folders[share].ID
	if !p.hasOthers(share) {
		return true, p.putBack(ctx, share) // nobody to be told anything
	}
	if _, loud := merged(current, quiet); loud {
		return false, nil // it is made quiet first
	}
	// Syncthing calls a folder idle whose first scan has failed: it would seem to
	// differ in nothing.
	scanned, err := p.client.lastScan(ctx, id)
	if err != nil {
		return false, err
	}
	if !scanned.After(p.started) {
		return false, p.client.beginScan(ctx, id)
	}
	status, err := p.client.Folder(ctx, id)
	if err != nil || status.State != "idle" {
		return false, err
	}
	if heard, err := p.hearOthers(ctx, id); err != nil || !heard {
		return false, err
	}
	bad, err := p.damaged(ctx, share, memory)
	if err != nil {
		return false, err
	}
	stuck := map[string]bool{}
	if err := p.setAside(share, bad, stuck, func(fs.FileInfo) group { return damaged }); err != nil {
		return false, err
	}
	changes, lying, err := p.differences(ctx, id, nil)
	if err != nil {
		return false, err
	}
	if len(bad) == 0 && onlyAdditions(changes) {
		return true, p.putBack(ctx, share) // nothing to revert
	}
	err = p.setAside(share, lying, stuck, func(info fs.FileInfo) group {
		if writtenSince(info, memory.Since) {
			return since
		}
		return before
	})
	if err != nil {
		return false, err
	}
	aside := append(lying, bad...)
	if err := p.failpoint("set aside"); err != nil {
		return false, err
	}
	if len(aside) > 0 {
		if err := p.scanAll(ctx, id, aside); err != nil {
			return false, err
		}
		equal := map[string]bool{}
		for _, change := range changes {
			equal[change.Name] = !change.Deleted
		}
		for _, entry := range aside {
			delete(equal, entry.Name)
		}
		if changes, lying, err = p.differences(ctx, id, equal); err != nil {
			return false, err
		}
		for _, entry := range lying {
			if entry.Type != folderType && !stuck[entry.Name] {
				return false, nil // somebody has written it anew: once more
			}
		}
	}
	if len(changes) > 0 {
		p.Log.Info("the disk differs from what the others have", "share", share,
			"missing", count(changes, func(e entry) bool { return e.Deleted }), "damaged", len(bad), "set aside", len(aside)-len(stuck))
		changes = slices.DeleteFunc(changes, func(e entry) bool { return stuck[e.Name] })
		if reverted, err := p.revert(ctx, id, changes); err != nil || !reverted {
			return false, err
		}
	}
	if err := p.failpoint("reverted"); err != nil {
		return false, err
	}
	return true, p.putBack(ctx, share)
}

// revertLimit is how long to wait for a revert in one pass.
const revertLimit = 10 * time.Second

// revert reverts and returns true when nothing of the changes is left. Syncthing
// answers before it has done it, and forgets it when the folder is set anew: what
// was missing would be announced as deleted.
func (p *pass) revert(ctx context.Context, id string, changes []entry) (bool, error) {
	if err := p.client.revert(ctx, id); err != nil {
		return false, err
	}
	listed := map[string]bool{}
	for _, change := range changes {
		// A folder that isn't empty stays; it is there, and harms nobody.
		listed[change.Name] = change.Deleted || change.Type != folderType
	}
	for begin := time.Now(); time.Since(begin) < revertLimit; {
		left, err := p.localChanges(ctx, id)
		if err != nil {
			return false, err
		}
		if !slices.ContainsFunc(left, func(e entry) bool { return listed[e.Name] }) {
			return true, nil
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return false, nil
}

// differences returns all local changes, and those of them that lie on the
// disk and aren't the same as what the others have. equal names some that are
// known to be the same.
func (p *pass) differences(ctx context.Context, id string, equal map[string]bool) (all, lying []entry, err error) {
	if all, err = p.localChanges(ctx, id); err != nil {
		return nil, nil, err
	}
	for i, change := range all {
		if change.Deleted || equal[change.Name] {
			continue
		}
		known, err := p.client.entries(ctx, id, change.Name)
		if err != nil {
			return nil, nil, err
		}
		all[i].added = !known.Global.exists()
		if !same(change, known.Global) {
			lying = append(lying, change)
		}
	}
	return all, lying, nil
}

// onlyAdditions says whether the others have none of what was changed.
func onlyAdditions(changes []entry) bool {
	return !slices.ContainsFunc(changes, func(e entry) bool { return !e.added })
}

// localChanges returns the whole list of local changes: it comes in portions,
// and one that changed in between could lack something.
func (p *pass) localChanges(ctx context.Context, id string) ([]entry, error) {
	for range 5 {
		before, err := p.client.Folder(ctx, id)
		if err != nil {
			return nil, err
		}
		changes, err := p.client.localChanges(ctx, id)
		if err != nil {
			return nil, err
		}
		after, err := p.client.Folder(ctx, id)
		if err != nil {
			return nil, err
		}
		if len(changes) == before.ReceiveOnlyTotalItems && len(changes) == after.ReceiveOnlyTotalItems {
			return changes, nil
		}
	}
	return nil, errors.New("the differences from the other nodes keep changing")
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
	return here.Modified.Equal(global.Modified)
}

// scanAll tells Syncthing to look at some entries, not too many in one URL.
func (p *pass) scanAll(ctx context.Context, id string, entries []entry) error {
	const portion = 100
	for len(entries) > 0 {
		n := min(portion, len(entries))
		names := make([]string, 0, n)
		for _, e := range entries[:n] {
			names = append(names, e.Name)
		}
		if err := p.client.scan(ctx, id, names...); err != nil {
			return err
		}
		entries = entries[n:]
	}
	return nil
}

// hasOthers says whether anybody could be told what isn't true.
func (p *pass) hasOthers(share string) bool {
	return p.hasPeers() || len(p.settings.Folders[share].Devices) > 0
}

// hearOthers waits until a node that is connected has nothing new to tell of a
// share, or until patience ends. Whoever is away was heard before.
func (p *pass) hearOthers(ctx context.Context, id string) (bool, error) {
	if !p.hasPeers() {
		return true, nil
	}
	sources, err := p.sources(ctx, id)
	if err != nil {
		return false, err
	}
	told := ""
	for _, s := range sources {
		if s.RemoteState == "valid" {
			told += fmt.Sprintf("%s %d ", s.node, s.Sequence)
		}
	}
	before := p.heard[id]
	p.heard[id] = told
	if told != "" && told == before {
		delete(p.asking, id)
		return true, nil
	}
	if p.asking[id].IsZero() {
		p.asking[id] = time.Now()
	}
	if waited := time.Since(p.asking[id]); told == "" && waited >= p.Patience {
		p.Log.Warn("no other node answers: the share goes on with what was heard of them before", "folder", id, "after", waited.Round(time.Second))
		delete(p.asking, id)
		return true, nil
	}
	return false, nil
}

func count(entries []entry, is func(entry) bool) (n int) {
	for _, e := range entries {
		if is(e) {
			n++
		}
	}
	return n
}
