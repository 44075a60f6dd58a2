// Package cloud says which Helm releases make the cloud of a cluster file, in
// which order and with which values: the same for whoever installs them. It is
// pure and knows no cluster.
package cloud

import (
	"maps"

	"github.com/tmorin/homecloud/internal/chart"
	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/values"
)

// Release is a release as the cluster file wants it.
type Release struct {
	chart.Release
	Namespace string
	On        bool // false: it has no object
}

// NeedsNamespace says whether the namespace is there even when the release
// isn't: the Secrets live in that of the services.
func (r *Release) NeedsNamespace() bool { return r.On || r.Namespace == config.Release }

// Releases computes the platform's release and the services', in this order.
// They are two because an uninstall of the services must not take the storage
// and the address from under somebody else. Overlay are values on top, in the
// umbrella's shape.
func Releases(cluster *config.Cluster, library chart.Library, overlay map[string]any) ([]Release, error) {
	charts := map[string]*chart.Chart{}
	defaults := values.Defaults{}
	for _, name := range []string{values.ChartUmbrella, values.ChartPlatform, values.ChartDNAS} {
		c, err := library.Load(name)
		if err != nil {
			return nil, err
		}
		charts[name], defaults[name] = c, c.DefaultValues()
	}
	computed, err := values.Umbrella(cluster, defaults)
	if err != nil {
		return nil, err
	}
	platform, services := split(values.Merge(computed.Map(), overlay))
	list := []Release{
		{Release: chart.Release{Name: config.PlatformRelease, Chart: charts[values.ChartPlatform], Values: platform}, Namespace: config.PlatformRelease},
		{Release: chart.Release{Name: config.Release, Chart: charts[values.ChartUmbrella], Values: services}, Namespace: config.Release},
	}
	for i := range list {
		r := &list[i]
		if r.Values == nil {
			continue
		}
		// Refuse impossible values before anything is touched.
		rendered, err := r.Chart.Render(chart.RenderOptions{Release: r.Name, Namespace: r.Namespace, Values: r.Values})
		if err != nil {
			return nil, err
		}
		r.On = rendered.Objects() > 0
	}
	return list, nil
}

// split makes of the umbrella's values those of the platform's own release
// (nil when it is off), and those of the services without a platform.
func split(umbrella map[string]any) (platform, services map[string]any) {
	services = maps.Clone(umbrella)
	services[values.ChartPlatform] = map[string]any{"enabled": false}
	given, _ := umbrella[values.ChartPlatform].(map[string]any)
	if enabled, ok := given["enabled"].(bool); ok && !enabled {
		return nil, services
	}
	platform = maps.Clone(given)
	if platform == nil {
		platform = map[string]any{}
	}
	delete(platform, "enabled")
	if global, ok := umbrella["global"].(map[string]any); ok {
		own, _ := platform["global"].(map[string]any)
		platform["global"] = values.Merge(global, own)
	}
	return platform, services
}
