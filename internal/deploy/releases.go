package deploy

import (
	"fmt"
	"log/slog"
	"maps"
	"strings"

	"github.com/tmorin/homecloud/internal/chart"
	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/values"
)

// wanted is a release as the cluster file wants it.
type wanted struct {
	chart.Release
	namespace string
	on        bool // false: it has no object
}

// releases computes the platform's release and the services', in this order.
// They are two because an uninstall of the services must not take the storage
// and the address from under somebody else.
func (u *Up) releases() ([]wanted, error) {
	charts := map[string]*chart.Chart{}
	defaults := values.Defaults{}
	for _, name := range []string{values.ChartUmbrella, values.ChartPlatform, values.ChartDNAS} {
		c, err := u.Library.Load(name)
		if err != nil {
			return nil, err
		}
		charts[name], defaults[name] = c, c.DefaultValues()
	}
	computed, err := values.Umbrella(u.Cluster, defaults)
	if err != nil {
		return nil, err
	}
	platform, services := split(values.Merge(computed.Map(), u.Overlay))
	list := []wanted{
		{Release: chart.Release{Name: config.PlatformRelease, Chart: charts[values.ChartPlatform], Values: platform}, namespace: config.PlatformRelease},
		{Release: chart.Release{Name: config.Release, Chart: charts[values.ChartUmbrella], Values: services}, namespace: config.Release},
	}
	for i := range list {
		r := &list[i]
		if r.Values == nil {
			continue
		}
		// Refuse impossible values before the cluster is touched.
		rendered, err := r.Chart.Render(chart.RenderOptions{Release: r.Name, Namespace: r.namespace, Values: r.Values})
		if err != nil {
			return nil, err
		}
		r.on = rendered.Objects() > 0
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

func debugLog(format string, arguments ...any) {
	slog.Debug(strings.TrimSpace(fmt.Sprintf(format, arguments...)), "from", "helm")
}
