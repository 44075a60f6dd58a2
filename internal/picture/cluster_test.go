package picture

import (
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tmorin/homecloud/internal/config"
)

var update = flag.Bool("update", false, "rewrite testdata/*.svg")

// golden compares a picture with the committed one.
func golden(t *testing.T, name string, drawn []byte) {
	t.Helper()
	file := filepath.Join("testdata", name+".svg")
	if *update {
		require.NoError(t, os.WriteFile(file, drawn, 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), string(drawn), "see what changed in %s with -update", file)
}

func example(t *testing.T, name string) *config.Cluster {
	t.Helper()
	cluster, err := config.Load(filepath.Join("../../examples", name+".yaml"))
	require.NoError(t, err)
	return cluster
}

func TestDiagramsOfTheExamples(t *testing.T) {
	for _, name := range []string{"one-board", "two-boards", "three-boards", "paper"} {
		t.Run(name, func(t *testing.T) {
			cluster := example(t, name)
			drawn := Cluster(cluster)
			requireXML(t, drawn)
			require.Equal(t, string(drawn), string(Cluster(cluster)), "the same file gives the same bytes")
			golden(t, name, drawn)
		})
	}
}

// home is a cluster of any size, whose names are as long as the file allows.
func home(boards, disks, shares, devices, services int, vip bool) *config.Cluster {
	long := strings.Repeat("Wide-Name-", 3)
	c := &config.Cluster{Name: "wwwwwwwwwwwwwwwwwwwwwwwwwwwwwww", Services: map[string]config.Service{}}
	c.Network.Subnet = netip.MustParsePrefix("192.168.111.0/24")
	c.Network.Gateway = netip.MustParseAddr("192.168.111.254")
	c.Network.LAN = []netip.Prefix{c.Network.Subnet, netip.MustParsePrefix("10.10.10.0/24"), netip.MustParsePrefix("10.10.20.0/24"), netip.MustParsePrefix("172.16.111.0/24")}
	if vip {
		c.Network.VIP = &config.VIP{Address: netip.MustParseAddr("192.168.111.250")}
	}
	c.DNAS.Disk = "data"
	for i := range boards {
		node := config.Node{Name: fmt.Sprintf("%s%d", strings.Repeat("m", 37), i), Role: config.RoleServer, Address: fmt.Sprintf("192.168.111.10%d", i),
			Interface: "enxaabbccddeeff", Board: "raspberry-pi-compute-module-4", Arch: "arm64", Memory: 4 << 30}
		for k := range disks {
			node.Disks = append(node.Disks, config.Disk{Name: []string{"data", long, "backup"}[k], UUID: "5f0e3f0c-0000-4000-8000-000000000003"})
		}
		if i != 1 {
			c.DNAS.Nodes = append(c.DNAS.Nodes, node.Name)
		}
		c.Nodes = append(c.Nodes, node)
	}
	for i := range devices {
		device := config.Device{Name: fmt.Sprintf("%s%d", long, i), Owner: "alice"}
		if i%2 == 1 {
			device.Camera = &config.Camera{Share: long, Path: "alice/in/a/far/folder"}
		}
		c.Devices = append(c.Devices, device)
	}
	for i := range shares {
		share := config.Share{Name: fmt.Sprintf("%s%d", long, i), Guest: config.AccessRead, Access: map[string]config.Access{
			"alice": config.AccessWrite, "bob": config.AccessWrite, strings.Repeat("w", 32): config.AccessRead}}
		share.SMB.Enabled, share.NFS.Enabled = i%3 != 1, i%2 == 0
		for k := range devices {
			if k%3 != 2 {
				share.Sync.Devices = append(share.Sync.Devices, c.Devices[k].Name)
			}
		}
		c.DNAS.Shares = append(c.DNAS.Shares, share)
	}
	for i := range services {
		c.Services[fmt.Sprintf("%s%d", strings.Repeat("w", 30), i)] = config.Service{Enabled: true, Host: "cloud.example.org", Shares: []string{long, long}}
	}
	return c
}

// The layout's own rectangles tell: whatever the size of the home and however
// long its names, nothing covers anything.
func TestNothingInADiagramOverlaps(t *testing.T) {
	for boards := 1; boards <= 9; boards++ {
		for _, shares := range []int{0, 1, 2, 3, 4, 7, 9, 10, 20} {
			for _, more := range []struct{ disks, devices, services int }{{0, 0, 0}, {1, 1, 0}, {2, 4, 1}, {3, 9, 6}} {
				for _, vip := range []bool{false, true} {
					name := fmt.Sprintf("%d boards, %d shares, %+v, virtual address %t", boards, shares, more, vip)
					d := drawCluster(home(boards, more.disks, shares, more.devices, more.services, vip))
					requireApart(t, name, d.canvas, pageWidth, d.y)
				}
			}
		}
	}
}

// requireApart wants that texts and boxes stand beside each other or within
// each other, texts within boxes alone, and that lines pass between them.
func requireApart(t *testing.T, name string, c *canvas, width, height int) {
	t.Helper()
	want := func(is bool, format string, a ...any) {
		if !is { // require itself takes most of the time of a million comparisons
			t.Helper()
			t.Fatalf(name+": "+format, a...)
		}
	}
	page := rect{0, 0, width, height}
	leaf := make([]bool, len(c.boxes))
	for i, a := range c.boxes {
		want(contains(page, a), "the box %v leaves the page", a)
		leaf[i] = true
		for k, b := range c.boxes {
			if i != k {
				want(apart(a, b) || contains(a, b) || contains(b, a), "the boxes %v and %v overlap", a, b)
				want(a != b, "two boxes are the same")
				leaf[i] = leaf[i] && !contains(a, b)
			}
		}
	}
	for i, a := range c.texts {
		want(contains(page, a), "the text %v leaves the page", a)
		for _, b := range c.texts[i+1:] {
			want(apart(a, b), "the texts %v and %v overlap", a, b)
		}
		for _, b := range c.boxes {
			want(apart(a, b) || contains(b, a), "the text %v sticks out of the box %v", a, b)
		}
	}
	for _, line := range c.lines {
		for i := range line[1:] {
			segment := span(line[i], line[i+1])
			want(segment.w == 0 || segment.h == 0, "the line %v is slanted", line)
			for _, text := range c.texts {
				want(apart(segment, text), "the line %v crosses the text %v", line, text)
			}
			for k, box := range c.boxes {
				want(!leaf[k] || apart(segment, box), "the line %v crosses the box %v", line, box)
			}
		}
	}
}

func contains(a, b rect) bool {
	return a.x <= b.x && a.y <= b.y && a.right() >= b.right() && a.bottom() >= b.bottom()
}

// apart says whether nothing is in both; they may touch.
func apart(a, b rect) bool {
	return a.right() <= b.x || b.right() <= a.x || a.bottom() <= b.y || b.bottom() <= a.y
}

func span(a, b point) rect {
	return rect{min(a.x, b.x), min(a.y, b.y), max(a.x, b.x) - min(a.x, b.x), max(a.y, b.y) - min(a.y, b.y)}
}

func TestWhatIsWrittenInADiagramIsEscaped(t *testing.T) {
	cluster := home(1, 1, 1, 1, 1, false)
	cluster.Name = `<b>"&'` + "\x01\xff]]>"
	cluster.Nodes[0].Name = `</text><script>alert(1)</script>`
	cluster.DNAS.Nodes = []string{cluster.Nodes[0].Name}
	drawn := Cluster(cluster)
	requireXML(t, drawn)
	require.NotContains(t, string(drawn), "<script")
	require.Contains(t, string(drawn), "&lt;b&gt;")
}

func TestLongNamesAreCutAndToldWhole(t *testing.T) {
	drawn := string(Cluster(home(4, 1, 4, 0, 0, false)))
	require.Contains(t, drawn, "<title>"+strings.Repeat("m", 37)+"0</title>")
	require.Contains(t, drawn, "mm…")
}

func TestDiagramSaysInWordsWhatItShows(t *testing.T) {
	cluster := example(t, "paper")
	cluster.Devices[0].Camera = &config.Camera{Share: "photos", Path: "alice"}
	require.Equal(t, "Board node-1, server, at 192.168.1.51, with the disk data. Board node-2, agent, at 192.168.1.52, with the disk data. "+
		"Share photos on node-1, node-2, by SMB, Syncthing. Share documents on node-1, node-2, by SMB, Syncthing. "+
		"Share roms on node-1, node-2, by SMB, NFS. Device phone of alice: both ways: photos; only sends: photos/alice. "+
		"Device laptop of alice: both ways: documents.", describe(cluster))
	require.Contains(t, string(Cluster(cluster)), `role="img" aria-labelledby="title description"`)
}

// Whatever a valid file says can be drawn.
func FuzzDiagram(f *testing.F) {
	for _, name := range []string{"one-board", "two-boards", "three-boards", "paper"} {
		text, err := os.ReadFile(filepath.Join("../../examples", name+".yaml"))
		require.NoError(f, err)
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		cluster, err := config.Parse("homecloud.yaml", text, nil)
		if err != nil {
			return
		}
		d := drawCluster(cluster)
		requireApart(t, "diagram", d.canvas, pageWidth, d.y)
		requireXML(t, Cluster(cluster))
	})
}

func requireXML(t *testing.T, text []byte) {
	t.Helper()
	decoder := xml.NewDecoder(strings.NewReader(string(text)))
	for {
		_, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err, "%s", text)
	}
}
