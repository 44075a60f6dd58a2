package deploy

import (
	"context"
	"slices"

	"github.com/tmorin/homecloud/internal/chart"
	"github.com/tmorin/homecloud/internal/cloud"
	"github.com/tmorin/homecloud/internal/diff"
)

// Diff asks the cluster what Run would change in its releases, and changes
// nothing; shares, people and boards that go are among it. A Run after it also
// changes back what was changed by hand. Secrets and namespaces, which are no
// release's, are left out.
func (u *Up) Diff(ctx context.Context) ([]diff.Change, error) {
	releases, err := cloud.Releases(u.Cluster, u.Library, u.Overlay)
	if err != nil {
		return nil, err
	}
	if _, err := u.Kube.Version(ctx); err != nil {
		return nil, err
	}
	if err := SameCloud(u.Kube, u.Cluster.Name); err != nil {
		return nil, err
	}
	var all []diff.Change
	u.edited = map[string]bool{}
	for _, r := range releases {
		installed, err := chart.Open(u.Kube.RESTGetter(r.Namespace), r.Namespace, debugLog)
		if err != nil {
			return nil, err
		}
		wanted := r.Release
		if !r.On {
			wanted.Chart = nil
		}
		foreseen, err := installed.Foresee(ctx, wanted)
		if err != nil {
			return nil, err
		}
		objects := make([]diff.Object, 0, len(foreseen))
		for _, f := range foreseen {
			objects = append(objects, diff.Object{Before: f.Before, After: f.After, Refused: f.Refused})
		}
		changes := diff.Compare(objects)
		u.edited[r.Name] = len(changes) > 0
		gone, err := whatGoes(installed, r)
		if err != nil {
			return nil, err
		}
		all = slices.Concat(all, changes, gone)
	}
	diff.Sort(all)
	return all, nil
}
