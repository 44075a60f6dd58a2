package deploy

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tmorin/homecloud/charts"
	"github.com/tmorin/homecloud/internal/chart"
	"github.com/tmorin/homecloud/internal/cloud"
	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/diff"
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
	wanted := releases[1].Values[values.ChartDNAS]
	require.Empty(t, gone(nil, wanted), "a first install")
	require.Empty(t, gone(wanted, wanted))
	installed := map[string]any{
		"shares": map[string]any{"roms": nil, "photos": map[string]any{}, "music": map[string]any{}},
		"users":  map[string]any{"alice": nil, "bob": nil},
		"nodes":  map[string]any{"box": nil, "attic": nil},
	}
	require.Equal(t, []diff.Change{
		{Effect: diff.Data, Verb: "delete", Kind: "Share", Name: "music", Why: []string{"share music is no longer served; what it holds stays on the disks, in shares/music"}},
		{Effect: diff.Data, Verb: "delete", Kind: "Share", Name: "photos", Why: []string{"share photos is no longer served; what it holds stays on the disks, in shares/photos"}},
		{Effect: diff.Withdraws, Verb: "delete", Kind: "Person", Name: "bob", Why: []string{"bob may no longer log in; what belongs to them stays"}},
		{Effect: diff.Withdraws, Verb: "delete", Kind: "Board", Name: "attic", Why: []string{"attic is no longer a board of the NAS; what its disk holds stays there, and changes no more"}},
	}, gone(installed, wanted))
	require.Len(t, gone(installed, nil), 7, "nothing is wanted any more")
	require.Len(t, gone(map[string]any{"shares": map[string]any{"roms": nil}}, map[string]any{"shares": map[string]any{"roms": nil}}), 1, "turned off by values")
}

func TestOtherDiskOrOwnerThanTheInstalledCloudsIsRefused(t *testing.T) {
	nas := func(disk string, uid any) map[string]any {
		return map[string]any{"enabled": true, "dataRoot": "/srv/homecloud", "disk": disk, "owner": map[string]any{"uid": uid, "gid": uid},
			"nodes": map[string]any{"box": nil}, "shares": map[string]any{"roms": nil}}
	}
	require.NoError(t, movedData(nas("data", 2000), nas("data", 2000.0)), "as Helm and YAML have numbers")
	require.NoError(t, movedData(nil, nas("data", 2000)), "a first install")
	empty := nas("store", 1234)
	empty["shares"] = map[string]any{}
	require.NoError(t, movedData(empty, nas("data", 2000)), "nothing was on the disk")
	require.NoError(t, movedData(nas("data", 2000), empty), "nothing will be")

	require.EqualError(t, movedData(nas("data", 2000), nas("store", 1234)),
		"the installed cloud serves the disk data, the file's store: a disk of another name is another disk, and no share would be served; "+
			"write data again, for dnas.disk and the disk's name, or prepare a disk store on every board and go by hcchart upgrade, which says what to accept\n"+
			"the installed cloud's files belong to 2000:2000 (uid:gid), dnas.owner of the file is 1234:1234: they don't change their owner by themselves, and no board could write them; "+
			"write 2000:2000 again, or give the files on every board to 1234:1234 and go by hcchart upgrade, which says what to accept")
	moved := nas("data", 2000)
	moved["dataRoot"] = "/mnt"
	require.ErrorContains(t, movedData(nas("data", 2000), moved), "mounted below /srv/homecloud, the values say /mnt")
}

func TestVirtualAddressGoesWithTheLastBoardButOne(t *testing.T) {
	text, err := os.ReadFile("../../examples/two-boards.yaml")
	require.NoError(t, err)
	u := &Up{Cluster: parse(t, string(text))}
	require.Empty(t, u.besideNodes(nil))
	require.Equal(t, ", together with network.vip, which needs two boards: nobody finds the shares at 10.77.0.50 then, only at the address of the board that stays",
		u.besideNodes([]string{"node-2"}))
	u.Cluster.DNAS.Nodes = append(u.Cluster.DNAS.Nodes, "node-3")
	require.Empty(t, u.besideNodes([]string{"node-2"}), "two stay")
	require.NotEmpty(t, u.besideNodes([]string{"node-2", "node-3"}))
	u.Cluster.Network.VIP = nil
	require.Empty(t, u.besideNodes([]string{"node-2", "node-3"}))
}
