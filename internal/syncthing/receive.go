package syncthing

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// received says whether a share that receives is done.
func (p *pass) received(ctx context.Context, id string) (bool, error) {
	local, err := p.client.Folder(ctx, id)
	if err != nil {
		return false, err
	}
	sources, err := p.sources(ctx, id)
	if err != nil {
		return false, err
	}
	now := time.Now()
	if p.stuck(id, local) {
		local.NeedBytes, local.NeedTotalItems, local.Errors = 0, 0, 0
	}
	complete := isComplete(local, sources, func(s source) bool {
		// Anything new it tells begins the silence anew.
		key := fmt.Sprintf("%s %s %d", id, s.node, s.Sequence)
		if p.silent[key].IsZero() {
			p.silent[key] = now
		}
		return now.Sub(p.silent[key]) >= p.Silence
	})
	if !complete {
		delete(p.complete, id)
		return false, nil
	}
	// An index comes in portions, and between two of them all may seem done:
	// only the second look in a row counts.
	if !p.complete[id] {
		p.complete[id] = true
		return false, nil
	}
	return true, nil
}

// stuck says whether a share has failed at everything that it still lacks, and
// at nothing else, for as long as patience lasts: a name that this file system
// doesn't take must not keep what was written here from being sent for ever.
func (p *pass) stuck(id string, local FolderStatus) bool {
	if local.State != "idle" {
		return false
	}
	lacks := fmt.Sprintf("%d %d %d", local.Errors, local.NeedTotalItems, local.NeedBytes)
	if local.Errors == 0 || p.lacking[id].what != lacks {
		p.lacking[id] = lack{lacks, time.Now()}
		return false
	}
	if time.Since(p.lacking[id].since) < p.Patience {
		return false
	}
	p.Log.Warn("files can't be fetched from the other nodes: the share goes on without them", "folder", id, "files", local.Errors)
	return true
}

// lack is what a receiving share failed to fetch, and since when.
type lack struct {
	what  string
	since time.Time
}

// sources are the connected nodes.
func (p *pass) sources(ctx context.Context, id string) ([]source, error) {
	connected, err := p.client.connected(ctx)
	if err != nil {
		return nil, err
	}
	var sources []source
	for _, node := range sortedKeys(p.peers.IDs) {
		device := p.peers.IDs[node]
		if node == p.Node || !connected[device] {
			continue
		}
		completion, err := p.client.completion(ctx, id, device)
		if err != nil {
			return nil, err
		}
		sources = append(sources, source{node, completion})
	}
	return sources, nil
}

// source is a connected node and what it has of a share.
type source struct {
	node string
	Completion
}

// isComplete decides whether a receiving share has everything: it is idle,
// lacks nothing and failed at nothing, and a connected node that has the share
// complete has told what is in it. One that isn't complete, or has told of no
// file, counts when it has told nothing new for a while: it may itself receive
// from nobody but us.
func isComplete(local FolderStatus, sources []source, silent func(source) bool) bool {
	if local.State != "idle" || local.NeedBytes > 0 || local.NeedTotalItems > 0 || local.Errors > 0 {
		return false
	}
	return slices.ContainsFunc(sources, func(s source) bool {
		complete := s.Completion.Completion >= 100 && s.NeedItems == 0 && s.NeedDeletes == 0 && s.Sequence > 0
		return s.RemoteState == "valid" && (complete || silent(s))
	})
}
