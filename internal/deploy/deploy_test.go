package deploy

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tmorin/homecloud/charts"
	"github.com/tmorin/homecloud/internal/chart"
	"github.com/tmorin/homecloud/internal/cloud"
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

func TestSharesAreReachedAtTheVirtualAddressOrAtEachBoard(t *testing.T) {
	require.Equal(t, []Address{{"roms", "smb://192.168.1.51/roms", "192.168.1.51:/roms"}}, Addresses(parse(t, oneBoard)))

	text, err := os.ReadFile("../../examples/two-boards.yaml")
	require.NoError(t, err)
	c := parse(t, string(text))
	require.Contains(t, Addresses(c), Address{"photos", "smb://10.77.0.50/photos", ""})
	c.Network.VIP = nil
	require.Contains(t, Addresses(c), Address{"photos", "smb://10.77.0.11/photos", ""})
	require.Contains(t, Addresses(c), Address{"photos", "smb://10.77.0.12/photos", ""})
}

func TestWhatTheFileNoLongerNamesIsTold(t *testing.T) {
	releases, err := cloud.Releases(parse(t, oneBoard), chart.Embedded(charts.FS), nil)
	require.NoError(t, err)
	had := map[string]any{"roms": nil, "photos": map[string]any{}, "music": map[string]any{}}
	require.Equal(t, []string{"music", "photos"}, removedKeys(had, releases[1].Values, values.ChartDNAS, "shares"))
	require.Equal(t, []string{"bob"}, removedKeys(map[string]any{"alice": nil, "bob": nil}, releases[1].Values, values.ChartDNAS, "users"))
	require.Empty(t, removedKeys(nil, releases[1].Values, values.ChartDNAS, "users"), "a first install")
}
