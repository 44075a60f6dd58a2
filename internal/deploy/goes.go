package deploy

import (
	"fmt"
	"maps"
	"slices"

	"github.com/tmorin/homecloud/internal/chart"
	"github.com/tmorin/homecloud/internal/cloud"
	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/diff"
	"github.com/tmorin/homecloud/internal/values"
)

// KindShare is the kind of a change to a share: what it moves or drops are no
// disks and no owners.
const KindShare = "Share"

// whatGoes are the shares, people and boards that the cloud has and the file no
// longer names: a line that was deleted by mistake must not go unnoticed.
func whatGoes(installed *chart.Releases, r cloud.Release) ([]diff.Change, error) {
	if r.Name != config.Release {
		return nil, nil
	}
	had, err := installed.Value(r.Name, values.ChartDNAS)
	if err != nil {
		return nil, err
	}
	var wanted any
	if r.On {
		wanted = r.Values[values.ChartDNAS]
	}
	return gone(had, wanted), nil
}

// gone is what the wanted values of the NAS leave out of the installed ones.
func gone(installed, wanted any) (changes []diff.Change) {
	for _, kind := range []struct {
		field, kind string
		effect      diff.Effect
		why         string
	}{
		{"shares", KindShare, diff.Data, "share %s is no longer served; what it holds stays on the disks, in " + config.SharesDirectory + "/%[1]s"},
		{"users", "Person", diff.Withdraws, "%s may no longer log in; what belongs to them stays"},
		{"nodes", "Board", diff.Withdraws, "%s is no longer a board of the NAS; what its disk holds stays there, and changes no more"},
	} {
		has := entries(wanted, kind.field)
		for _, name := range slices.Sorted(maps.Keys(entries(installed, kind.field))) {
			if has[name] == nil {
				changes = append(changes, diff.Change{Effect: kind.effect, Verb: "delete", Kind: kind.kind, Name: name, Why: []string{fmt.Sprintf(kind.why, name)}})
			}
		}
	}
	return changes
}

func entries(nas any, field string) map[string]any {
	fields, _ := nas.(map[string]any)
	named, _ := fields[field].(map[string]any)
	return named
}
