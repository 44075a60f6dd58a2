package syncthing

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tmorin/homecloud/internal/config"
)

// reception is what is remembered of a share between two passes while its state
// stays the same. What the others had before is no measure of what they have.
type reception struct {
	of     shareState
	met    bool                 // it knows all of the others', which receive as well
	silent map[string]time.Time // since when a node told nothing new, by node and what it told last
	owed   map[string]int64     // the last change that a node had when it was asked first
	lacks  lack                 // what it failed to fetch
}

// reception is begun anew with every change of the share's state.
func (r *Reconciler) reception(share string, memory shareState) *reception {
	current := r.receptions[share]
	if current == nil || current.of != memory {
		current = &reception{of: memory, silent: map[string]time.Time{}, owed: map[string]int64{}}
		r.receptions[share] = current
	}
	return current
}

// owes returns what a node's account is measured by: the index it had at first.
// Somebody who goes on writing is never known to the last change.
func (r *reception) owes(node string, given account) account {
	if !given.Idle {
		return given // it is still finding out what it has
	}
	key := fmt.Sprintf("%s %t", node, given.Receives) // it tells everything anew when it sends again
	if before, asked := r.owed[key]; !asked || given.Sequence < before {
		r.owed[key] = given.Sequence
	}
	given.Sequence = r.owed[key]
	return given
}

// silentFor returns how long a node has told nothing new.
func (r *reception) silentFor(s source) time.Duration {
	key := fmt.Sprintf("%s %d", s.node, s.Sequence)
	if r.silent[key].IsZero() {
		r.silent[key] = time.Now()
	}
	return time.Since(r.silent[key])
}

// received says whether a share that receives is done.
func (p *pass) received(ctx context.Context, share string) (bool, error) {
	memory := p.state.Shares[share]
	id, reception := p.settings.Folders[share].ID, p.reception(share, memory)
	local, err := p.client.Folder(ctx, id)
	if err != nil {
		return false, err
	}
	sources, err := p.sources(ctx, share)
	if err != nil {
		return false, err
	}
	if absent := p.absent(sources); memory.Foreign && absent != nil {
		p.absents[share] = absent
		return false, nil
	}
	if reception.stuck(local, p.Patience) {
		p.Log.Warn("files can't be fetched from the other nodes: the share goes on without them", "share", share, "files", local.NeedTotalItems)
		local.NeedBytes, local.NeedTotalItems = 0, 0
	}
	complete, met := isComplete(local, sources, func(s source) bool { return reception.silentFor(s) >= p.Patience })
	// Where all receive they go on at the same time, so that what was written last
	// wins: the other gets one look more, and is gone by the next.
	if met && !reception.met {
		reception.met = true
		return false, nil
	}
	return complete || reception.met && local.has(), nil
}

// absent are the other nodes that aren't among the sources.
func (p *pass) absent(sources []source) (nodes []string) {
	for _, node := range sortedKeys(p.peers.IDs) {
		if node != p.Node && !slices.ContainsFunc(sources, func(s source) bool { return s.node == node && s.RemoteState == "valid" }) {
			nodes = append(nodes, node)
		}
	}
	return nodes
}

// stuck says whether a share has failed at everything that it still lacks, and
// at nothing else, for as long as patience lasts: a name that this file system
// doesn't take must not keep what was written here from being sent for ever.
func (r *reception) stuck(local FolderStatus, patience time.Duration) bool {
	if local.State != "idle" {
		return false
	}
	what := fmt.Sprintf("%d %d %d", local.Errors, local.NeedTotalItems, local.NeedBytes)
	if local.Errors == 0 || local.NeedTotalItems == 0 || r.lacks.what != what {
		r.lacks = lack{what, time.Now()}
		return false
	}
	return time.Since(r.lacks.since) >= patience
}

// lack is what a receiving share failed to fetch, and since when.
type lack struct {
	what  string
	since time.Time
}

// sources are the connected nodes, or the devices that have the share where there
// is no other node. A device gives no account.
func (p *pass) sources(ctx context.Context, share string) ([]source, error) {
	id := p.settings.Folders[share].ID
	connected, err := p.client.connected(ctx)
	if err != nil {
		return nil, err
	}
	var sources []source
	if !p.hasPeers() {
		for _, name := range p.settings.Folders[share].Devices {
			device, err := config.ParseDeviceID(p.settings.Devices[name].ID)
			if err != nil || !connected[device] {
				continue
			}
			completion, err := p.client.completion(ctx, id, device)
			if err != nil {
				return nil, err
			}
			sources = append(sources, source{name, completion, nil})
		}
		return sources, nil
	}
	for _, node := range sortedKeys(p.peers.IDs) {
		device := p.peers.IDs[node]
		if node == p.Node || !connected[device] {
			continue
		}
		completion, err := p.client.completion(ctx, id, device)
		if err != nil {
			return nil, err
		}
		sources = append(sources, source{node, completion, p.account(ctx, node, share)})
	}
	return sources, nil
}
