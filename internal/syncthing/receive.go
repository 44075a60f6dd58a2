package syncthing

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tmorin/homecloud/internal/config"
)

// reception is what is remembered of a share between two passes while its state
// stays the same. What the others had before is no measure of what they have.
type reception struct {
	of     shareState
	met    bool               // it knows all of the others', which receive as well
	silent map[string]silence // by node
	owed   map[string]int64   // the last change that a node had when it was asked first
	lacks  lack               // what it failed to fetch
}

// reception is begun anew with every change of the share's state.
func (r *Reconciler) reception(share string, memory shareState) *reception {
	current := r.receptions[share]
	if current == nil || current.of != memory {
		current = &reception{of: memory, silent: map[string]silence{}, owed: map[string]int64{}}
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

// silentFor returns how long a connected node has told nothing new.
func (r *reception) silentFor(s source) time.Duration {
	if last := r.silent[s.node]; last.since.IsZero() || last.sequence != s.Sequence {
		r.silent[s.node] = silence{s.Sequence, time.Now()}
	}
	return time.Since(r.silent[s.node].since)
}

// forgetSilenceBut forgets that of nodes that aren't connected: they can't talk.
func (r *reception) forgetSilenceBut(sources []source) {
	maps.DeleteFunc(r.silent, func(node string, _ silence) bool {
		return !slices.ContainsFunc(sources, func(s source) bool { return s.node == node && s.RemoteState == "valid" })
	})
}

// silence is the last number that a node told, and since when.
type silence struct {
	sequence int64
	since    time.Time
}

// received says whether a share that receives is done.
func (p *pass) received(ctx context.Context, share string) (bool, error) {
	id, reception := p.settings.Folders[share].ID, p.reception(share, p.state.Shares[share])
	local, err := p.client.Folder(ctx, id)
	if err != nil {
		return false, err
	}
	sources, err := p.sources(ctx, share)
	if err != nil {
		return false, err
	}
	if p.hasPeers() { // a phone is there for minutes, and not again before tomorrow
		reception.forgetSilenceBut(sources)
	}
	for _, s := range sources {
		if s.account != nil && !s.account.Idle {
			p.awaited[share] = fmt.Sprintf("; %s isn't at rest, and is waited for", s.node)
		}
	}
	if absent := p.absent(sources); absent != nil {
		p.awaited[share] = fmt.Sprintf("; %s may have something newer, and is waited for: bring it back, or take it out of the cluster file for good", strings.Join(absent, " and "))
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
	for _, node := range sortedKeys(p.settings.Nodes) { // also one whose ID the Secret doesn't tell yet
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
