package syncthing

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/disk"
)

// pass is one comparison of what is wanted with what Syncthing has.
type pass struct {
	*Reconciler
	settings Settings
	peers    Peers
	verdict  disk.Verdict
	client   *Client
	has      running
	state    state
	problems map[string]error              // by share
	given    map[string]map[string]account // by the nodes asked in this pass, and folder
	awaited  map[string]string             // who a share waits for, as a part of a sentence
	waiting  bool                          // something will be different without anybody's doing
}

// run puts what differs, the cutting off of devices first. What is wrong with
// one share doesn't keep the others.
func (p *pass) run(ctx context.Context) error {
	self, err := p.client.self(ctx)
	if err != nil {
		return err
	}
	if own := p.peers.IDs[p.Node]; self.MyID != own {
		return fmt.Errorf("syncthing is the device %s, but %s is %q in the Secret: nothing is changed", self.MyID, p.Node, own)
	}
	if !self.StartTime.Equal(p.started) {
		p.started, p.begun, p.failures = self.StartTime, map[string]time.Time{}, map[string]failure{}
		p.firstScan = map[string]time.Time{}
	}
	unlock, err := lockState(p.Home, p.Log)
	if err != nil {
		return err
	}
	defer unlock()
	if p.has, err = p.client.config(ctx); err != nil {
		return err
	}
	if p.state, err = loadState(p.Home); err != nil {
		return err
	}
	p.keepUnknown()
	if err := p.devices(ctx, self.MyID); err != nil {
		return err
	}
	wanted := p.settings.optionsObject(p.Node)
	if _, changed := merged(p.has.Options, wanted); changed {
		p.Log.Info("options set")
		if err := p.client.patchOptions(ctx, wanted); err != nil {
			return err
		}
	}
	if err := p.removeFolders(ctx); err != nil {
		return err
	}
	if p.verdict.Open {
		for _, share := range sortedKeys(p.settings.Folders) {
			if p.gaveUp(share) {
				p.problems[share] = p.failures[share].err
				continue
			}
			if err := p.share(ctx, share); err != nil {
				p.problems[share] = err
				p.failed(ctx, share, err)
			} else {
				delete(p.failures, share)
			}
		}
	}
	restarted, err := p.client.restartIfRequired(ctx)
	if restarted {
		p.Log.Info("Syncthing restarts to take its options")
	}
	return err
}

// keepUnknown takes the device ID of a node from Syncthing when the Secret
// doesn't tell it: a Secret that lacks a node cuts nobody off.
func (p *pass) keepUnknown() {
	for node := range p.settings.Nodes {
		if _, known := p.peers.IDs[node]; known {
			continue
		}
		if device, found := byField(p.has.Devices, "name", node); found {
			if id, err := config.ParseDeviceID(text(device, "deviceID")); err == nil {
				p.peers.IDs[node] = id
			}
		}
	}
}

// failure is why a share can't be settled.
type failure struct {
	since time.Time
	err   error
	until time.Time // when it is tried again; zero: at once
}

// failureLimit is how many times Silence a share may fail.
const failureLimit = 2

func (p *pass) gaveUp(share string) bool { return time.Now().Before(p.failures[share].until) }

// failed notes the failure of a share that is settled. One that goes on failing
// is paused, so that it keeps nobody else from exchanging files.
func (p *pass) failed(ctx context.Context, share string, err error) {
	if !p.state.Shares[share].Settling || !p.hasOthers(share) {
		return
	}
	f := p.failures[share]
	f.err = err
	if f.since.IsZero() {
		f.since = time.Now()
	}
	if time.Since(f.since) >= failureLimit*p.Silence {
		current, configured := byField(p.has.Folders, "id", p.settings.Folders[share].ID)
		if folder, changed := merged(current, object{"paused": true}); configured && changed {
			if err := p.client.putFolder(ctx, folder); err != nil {
				p.problems[share] = err
				return
			}
		}
		f.err = fmt.Errorf("can't be compared with what the other nodes have, and is paused until it can: %w", err)
		f.until = time.Now().Add(p.Patience)
		p.problems[share] = f.err
	}
	p.failures[share] = f
}

// wantsAlone says whether this node is to talk to nobody: while a share is
// settled, so that nothing changes under it, and while an index is dropped: what
// arrives meanwhile would stay in Syncthing's database and be counted for ever.
func (p *pass) wantsAlone() bool {
	for share, folder := range p.settings.Folders {
		memory := p.state.Shares[share]
		_, configured := byField(p.has.Folders, "id", folder.ID)
		if p.hasOthers(share) && !p.gaveUp(share) && (memory.Settling || p.verdict.Open && configured && memory.Generation != p.verdict.Found.Sentinel.Generation) {
			return true
		}
	}
	return len(p.surplus()) > 0
}

// surplus are the folders that are no share any more.
func (p *pass) surplus() (ids []string) {
	kept := map[string]bool{}
	for _, folder := range p.settings.Folders {
		kept[folder.ID] = true
	}
	for _, folder := range p.has.Folders {
		if id := text(folder, "id"); !kept[id] {
			ids = append(ids, id)
		}
	}
	return ids
}

func (p *pass) devices(ctx context.Context, self config.DeviceID) error {
	wanted := p.settings.devices(p.Node, p.peers, p.wantsAlone())
	for _, device := range p.has.Devices {
		id := text(device, "deviceID")
		if _, keep := wanted[config.DeviceID(id)]; keep || id == string(self) {
			continue
		}
		p.Log.Info("device cut off", "device", text(device, "name"), "id", id)
		if err := p.client.deleteDevice(ctx, id); err != nil {
			return err
		}
		p.waiting = true // it went from the folders, too: look at them again
	}
	for _, id := range sortedKeys(wanted) {
		current, known := byField(p.has.Devices, "deviceID", string(id))
		if !known {
			current = p.has.Defaults.Device
		}
		device, changed := merged(current, wanted[id])
		if known && !changed {
			continue
		}
		p.Log.Info("device set", "device", text(device, "name"), "id", id)
		if err := p.client.putDevice(ctx, device); err != nil {
			return err
		}
	}
	return nil
}

// removeFolders makes Syncthing forget what is no share any more. The data
// stays, and so does the memory of it while the folder does.
func (p *pass) removeFolders(ctx context.Context) error {
	for _, id := range p.surplus() {
		if alone, err := p.isAlone(ctx); err != nil || !alone {
			p.waiting = true
			return err
		}
		p.Log.Info("folder removed from Syncthing; what it holds stays", "folder", id)
		if err := p.client.deleteFolder(ctx, id); err != nil {
			return err
		}
		p.waiting = true
	}
	for _, share := range sortedKeys(p.state.Shares) {
		if _, wanted := p.settings.Folders[share]; !wanted {
			delete(p.state.Shares, share)
			if err := p.state.save(p.Home); err != nil {
				return err
			}
		}
	}
	return nil
}

// share brings one share in order. Three cases:
//
//   - Syncthing's database describes this share on this generation of the
//     disk: what has vanished since is refused, never made again, because an
//     empty folder would be announced as "everything deleted".
//   - Syncthing knows nothing of the share: it is made. Nothing can be
//     announced as deleted that was never indexed.
//   - Syncthing's database describes another disk (or we don't know which):
//     it is dropped, and the share begins with a new index.
//
// A share that begins with data in it receives first, if there is another
// node to receive from: the same files meet without a conflict, and what was
// deleted or changed elsewhere meanwhile wins.
func (p *pass) share(ctx context.Context, share string) error {
	id := p.settings.Folders[share].ID
	generation := p.verdict.Found.Sentinel.Generation
	current, configured := byField(p.has.Folders, "id", id)
	memory := p.state.Shares[share]
	p.reception(share, memory) // a change between two passes is noticed also where nobody is asked

	if memory.Uncompared && p.hasOthers(share) {
		memory.Generation = ""
	}
	if memory.Generation == generation && configured {
		err := p.within(func(top string) error { return checkShare(top, share, generation) })
		if err == nil {
			return p.settle(ctx, share, current, memory)
		}
		if !memory.Settling && !memory.Receiving || !errors.Is(err, errVanished) {
			return err
		}
		// A copy of the disk from before the share was made: it is known to be torn.
		// Noted first: an interruption must not leave a share that is known and gone.
		memory = shareState{}
		p.state.Shares[share] = memory
		if err := p.state.save(p.Home); err != nil {
			return err
		}
	}

	if configured {
		if alone, err := p.isAlone(ctx); p.hasOthers(share) && (err != nil || !alone) {
			p.waiting = true
			return err
		}
		p.Log.Warn("the disk isn't the one that Syncthing knew: the share begins with a new index",
			"share", share, "generation", generation, "before", memory.Generation)
		if err := p.client.deleteFolder(ctx, id); err != nil {
			return err
		}
	}
	begun := false // with something that others may have, too
	err := p.within(func(top string) error {
		if memory.Generation == generation {
			// Only Syncthing's own configuration was lost.
			if err := checkShare(top, share, generation); err != nil {
				return err
			}
		}
		holds, err := holdsData(top, share)
		if err != nil {
			return err
		}
		begun = holds || configured || memory.Generation != ""
		return makeShare(top, share, generation)
	})
	if err != nil {
		return err
	}
	back := now()
	if memory.Uncompared {
		back = memory.Since
	}
	memory = shareState{Generation: generation}
	if begun {
		memory.Since, memory.Receiving, memory.Uncompared = back, p.hasOthers(share), !p.hasOthers(share)
	}
	if memory.Receiving {
		if err := p.setConflictCopiesAside(share); err != nil {
			return err
		}
	}
	if err := p.put(ctx, share, p.has.Defaults.Folder, memory); err != nil {
		return err
	}
	p.state.Shares[share] = memory
	return p.state.save(p.Home)
}

// hasPeers says whether another node could have the share.
func (p *pass) hasPeers() bool { return len(p.settings.Nodes) > 1 }

// settle keeps a share that is known. One that receives sends again when it
// has what the others have, and what differed is settled.
func (p *pass) settle(ctx context.Context, share string, current object, memory shareState) error {
	id := p.settings.Folders[share].ID
	switch {
	case memory.Settling && current["paused"] == true: // it was given up for a while
		p.waiting = true
		p.looked[share] = time.Now() // what was scanned before counts no more
		delete(p.firstScan, share)
		if alone, err := p.isAlone(ctx); err != nil || !alone {
			return err
		}
	case memory.Settling: // also where it was receiving when the disk was torn
		settled, err := p.settleDifferences(ctx, share, current, memory)
		if err != nil {
			return err
		}
		p.waiting = true
		if settled {
			p.Log.Info("the share was compared with what the others have", "share", share)
			memory.Uncompared = !p.hasOthers(share)
			memory.Settling, memory.Behind, memory.Stored = false, false, time.Time{}
			if !memory.Uncompared {
				memory.Since = time.Time{}
			}
			p.settled[share] = time.Now()
			delete(p.reunited, share)
		}
	case memory.Receiving:
		complete := true
		if p.hasOthers(share) {
			var err error
			if complete, err = p.received(ctx, share); err != nil {
				return err
			}
		}
		p.waiting = true
		if complete {
			p.Log.Info("the share has what the other nodes have", "share", share)
			memory.Receiving, memory.Settling = false, true
		}
	}
	if !memory.Receiving && !memory.Settling && p.state.Shares[share] != memory {
		p.Log.Info("the share sends again", "share", share)
	}
	if err := p.put(ctx, share, current, memory); err != nil {
		return err
	}
	if p.state.Shares[share] != memory {
		p.state.Shares[share] = memory
		if err := p.state.save(p.Home); err != nil {
			return err
		}
	}
	if !memory.Receiving && !memory.Settling && text(current, "type") == "sendreceive" {
		if p.settled[share].IsZero() {
			p.settled[share] = time.Now() // an interruption ended before
		}
		moved, err := p.putBack(ctx, share)
		if err == nil && moved {
			err = p.client.beginScan(ctx, id)
		}
		if err != nil {
			return err
		}
	}
	status, err := p.client.Folder(ctx, id)
	if err != nil {
		return err
	}
	problem := statusProblem(status, memory, p.Patience)
	problem += p.awaited[share]
	if status.Errors > 0 && status.State != "error" && !memory.Settling {
		first, err := p.client.firstError(ctx, id)
		if err != nil {
			return err
		}
		problem += "; the first is " + first
	}
	if problem != "" {
		p.problems[share] = errors.New(problem)
	}
	return nil
}

// statusProblem says what people should know of a share that goes its way.
func statusProblem(status FolderStatus, memory shareState, patience time.Duration) string {
	switch {
	case status.State == "error":
		return "stopped by Syncthing: " + status.Error
	case memory.Settling:
		return "is compared with what the other nodes have; nothing is sent or fetched until that is done"
	case memory.Receiving && status.Errors > 0 && status.NeedTotalItems > 0:
		return fmt.Sprintf("%d files can't be fetched from the other nodes: nothing is sent for %s", status.NeedTotalItems, patience)
	case memory.Receiving && status.Errors > 0:
		return fmt.Sprintf("takes what the other nodes have; nothing is sent until that is done, and %d names never, which other devices don't take", status.Errors)
	case memory.Receiving:
		return "takes what the other nodes have; nothing is sent until that is done"
	case status.Errors > 0 && status.NeedTotalItems > 0:
		return fmt.Sprintf("%d files can't be fetched from the other nodes", status.NeedTotalItems)
	case status.Errors > 0:
		return fmt.Sprintf("%d files stay on this node alone: they can't be read, or other devices don't take their names", status.Errors)
	}
	return ""
}

// put writes a share's list of what isn't sent, and the folder where it
// differs.
func (p *pass) put(ctx context.Context, share string, current object, memory shareState) error {
	listed := false
	err := p.within(func(top string) (err error) {
		listed, err = writeIgnores(top, share)
		return err
	})
	if err != nil {
		return err
	}
	folder, changed := merged(current, p.settings.folder(share, p.peers, memory, current))
	if changed && p.hasOthers(share) && time.Since(p.settled[share]) < reunion {
		// The folder starts anew when it sends again, and fetches what it lacks: from
		// somebody, or a minute later.
		if connected, err := p.client.connected(ctx); err != nil || !anyOf(connected) {
			p.waiting = true
			return err
		}
	}
	if changed {
		delete(p.begun, text(folder, "id"))
		p.Log.Info("folder set", "share", share, "folder", text(folder, "id"), "type", text(folder, "type"))
		return p.client.putFolder(ctx, folder)
	}
	if listed || p.lookAgain(text(folder, "id"), memory) {
		return p.client.beginScan(ctx, text(folder, "id"))
	}
	return nil
}

// reunion is how long a share that was settled waits for a device before it sends
// again.
const reunion = 10 * time.Second

func anyOf(connected map[config.DeviceID]bool) bool {
	for _, is := range connected {
		if is {
			return true
		}
	}
	return false
}

// watched is how long after its start a folder is watched for sure.
const watched = 5 * time.Second

// lookAgain asks for one scan after a folder has begun: Syncthing scans it and
// then begins to watch it, and would see what was written in between an hour
// later.
func (p *pass) lookAgain(id string, memory shareState) bool {
	if memory.Settling {
		return false
	}
	begun, known := p.begun[id]
	switch {
	case !known:
		p.begun[id] = time.Now()
	case begun.IsZero():
		return false // done
	case time.Since(begun) >= watched:
		p.begun[id] = time.Time{}
		return true
	}
	p.waiting = true
	return false
}

// within works on the disk. Errors name its path as a person knows it.
func (p *pass) within(do func(top string) error) error {
	passage := ""
	err := p.disk.Within(p.verdict.Found.Identity, func(top string) error {
		passage = top
		return do(top)
	})
	if err == nil || passage == "" {
		return err
	}
	return worded{strings.ReplaceAll(strings.ReplaceAll(err.Error(), passage, p.disk.Path()), "\n", "; "), err}
}

// worded is an error in other words.
type worded struct {
	words string
	error
}

func (w worded) Error() string { return w.words }
func (w worded) Unwrap() error { return w.error }

// Ready says whether the Syncthing behind a socket answers. It needs no disk.
func Ready(ctx context.Context, socket, apiKey string) error {
	client := NewClient(socket, apiKey)
	defer client.Close()
	return client.do(ctx, http.MethodGet, "/rest/system/ping", nil, nil)
}
