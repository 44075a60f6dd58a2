package deploy

import (
	"context"
	"time"

	"github.com/tmorin/homecloud/internal/chart"
	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/kube"
	"github.com/tmorin/homecloud/internal/term"
)

// Down takes the releases away and leaves everything that holds data: the
// boards' disks, what daemons remember on the system disks, the Secrets, the
// namespaces.
type Down struct {
	Cloud   string // whose releases they must be
	Kube    *kube.Cluster
	Timeout time.Duration // for each release
	Steps   *term.Steps
}

// Run uninstalls the services, then what they stand on. It tells whether there
// was anything.
func (d *Down) Run(ctx context.Context) (removed bool, err error) {
	err = d.Steps.Run("cluster answers", func(s *term.Step) error {
		version, err := d.Kube.Version(ctx)
		s.Done("Kubernetes %s", version)
		return err
	})
	if err != nil {
		return false, err
	}
	if err := SameCloud(d.Kube, d.Cloud); err != nil {
		return false, err
	}
	there, err := d.Kube.HasNamespace(ctx, config.Release)
	if err != nil {
		return false, err
	}
	if there {
		unlock, err := d.Kube.Lock(ctx, config.Release)
		if err != nil {
			return false, err
		}
		defer unlock()
	}
	for _, name := range []string{config.Release, config.PlatformRelease} {
		releases, err := chart.Open(d.Kube.RESTGetter(name), name, debugLog)
		if err != nil {
			return removed, err
		}
		err = d.Steps.Run("release "+name, func(s *term.Step) error {
			s.Waits("the release's pods to end")
			was, err := releases.Uninstall(ctx, name, d.Timeout)
			removed = removed || was
			s.Done("uninstalled")
			if !was {
				s.Done("not installed")
			}
			return err
		})
		if err != nil {
			return removed, err
		}
	}
	return removed, nil
}
