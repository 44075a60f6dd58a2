package cloud

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tmorin/homecloud/charts"
	"github.com/tmorin/homecloud/internal/chart"
	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/values"
)

func parse(t *testing.T, text string) *config.Cluster {
	t.Helper()
	c, err := config.Parse("homecloud.yaml", []byte(text), nil)
	require.NoError(t, err)
	return c
}

const oneBoard = `{apiVersion: homecloud/v1alpha1, kind: Cluster, name: home,
network: {subnet: 192.168.1.0/24, gateway: 192.168.1.1},
nodes: [{name: box, address: 192.168.1.51, disks: [{name: data, device: /dev/disk/by-id/usb-Example_SSD_0001-0:0}]}],
users: [{name: alice, admin: true}],
dnas: {shares: [{name: roms, access: {alice: write}, guest: read, nfs: {enabled: true, access: read}}]}}`

func TestPlatformIsOnlyWantedWhenItHasObjects(t *testing.T) {
	twoBoards, err := os.ReadFile("../../examples/two-boards.yaml")
	require.NoError(t, err)
	for name, test := range map[string]struct {
		file               string
		overlay            map[string]any
		platform, services bool
	}{
		"one board":                  {file: oneBoard, services: true},
		"two boards with a VIP":      {file: string(twoBoards), platform: true, services: true},
		"turned off by values":       {file: string(twoBoards), overlay: map[string]any{"platform": map[string]any{"enabled": false}}, services: true},
		"services off by values":     {file: string(twoBoards), overlay: map[string]any{"dnas": map[string]any{"enabled": false}}, platform: true},
		"platform on, nothing in it": {file: oneBoard, overlay: map[string]any{"platform": map[string]any{"enabled": true}}, services: true},
	} {
		t.Run(name, func(t *testing.T) {
			releases, err := Releases(parse(t, test.file), chart.Embedded(charts.FS), test.overlay)
			require.NoError(t, err)
			require.Equal(t, []string{"homecloud-platform", "homecloud"}, []string{releases[0].Name, releases[1].Name})
			require.Equal(t, test.platform, releases[0].On, "platform")
			require.Equal(t, test.services, releases[1].On, "services")
		})
	}
}

func TestPlatformsReleaseGetsItsPartOfTheValues(t *testing.T) {
	platform, services := split(map[string]any{
		"global":   map[string]any{"imageRegistry": "mirror"},
		"platform": map[string]any{"enabled": true, "vip": map[string]any{"enabled": true}},
		"dnas":     map[string]any{"disk": "data"},
	})
	require.Equal(t, map[string]any{
		"global": map[string]any{"imageRegistry": "mirror"},
		"vip":    map[string]any{"enabled": true},
	}, platform)
	require.Equal(t, map[string]any{
		"global":   map[string]any{"imageRegistry": "mirror"},
		"platform": map[string]any{"enabled": false},
		"dnas":     map[string]any{"disk": "data"},
	}, services)
}

// Both releases together must be what the umbrella alone is, so that nobody's
// cloud depends on how it was installed.
func TestTwoReleasesHoldWhatTheUmbrellaHolds(t *testing.T) {
	text, err := os.ReadFile("../../examples/two-boards.yaml")
	require.NoError(t, err)
	cluster, library := parse(t, string(text)), chart.Embedded(charts.FS)
	releases, err := Releases(cluster, library, nil)
	require.NoError(t, err)
	count := 0
	for _, r := range releases {
		count += objects(t, r.Chart, r.Values)
	}
	umbrella, err := library.Load(values.ChartUmbrella)
	require.NoError(t, err)
	computed, err := values.Umbrella(cluster, values.Defaults{})
	require.NoError(t, err)
	require.Equal(t, objects(t, umbrella, computed.Map()), count)
	require.Positive(t, count)
}

func objects(t *testing.T, c *chart.Chart, given map[string]any) int {
	t.Helper()
	rendered, err := c.Render(chart.RenderOptions{Release: "homecloud", Namespace: "homecloud", Values: given})
	require.NoError(t, err)
	return rendered.Objects()
}
