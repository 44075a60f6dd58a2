package syncthing

import (
	"context"
	"fmt"
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
		local.NeedBytes, local.NeedTotalItems = 0, 0
	}
	complete, met := isComplete(local, sources, func(s source) bool {
		// Anything new it tells begins the silence anew.
		key := fmt.Sprintf("%s %s %d", id, s.node, s.Sequence)
		if p.silent[key].IsZero() {
			p.silent[key] = now
		}
		return now.Sub(p.silent[key]) >= p.Patience
	})
	// Where all receive they go on at the same time, so that what was written last
	// wins: the other gets one look more, and is gone by the next.
	if met && !p.met[id] {
		p.met[id] = true
		return false, nil
	}
	if complete || p.met[id] && local.has() {
		delete(p.met, id)
		return true, nil
	}
	return false, nil
}

// stuck says whether a share has failed at everything that it still lacks, and
// at nothing else, for as long as patience lasts: a name that this file system
// doesn't take must not keep what was written here from being sent for ever.
func (p *pass) stuck(id string, local FolderStatus) bool {
	if local.State != "idle" {
		return false
	}
	lacks := fmt.Sprintf("%d %d %d", local.Errors, local.NeedTotalItems, local.NeedBytes)
	if local.Errors == 0 || local.NeedTotalItems == 0 || p.lacking[id].what != lacks {
		p.lacking[id] = lack{lacks, time.Now()}
		return false
	}
	if time.Since(p.lacking[id].since) < p.Patience {
		return false
	}
	p.Log.Warn("files can't be fetched from the other nodes: the share goes on without them", "folder", id, "files", local.NeedTotalItems)
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
		sources = append(sources, source{node, completion, p.account(ctx, node, id)})
	}
	return sources, nil
}
