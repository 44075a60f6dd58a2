package picture

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/tmorin/homecloud/internal/budget"
	"github.com/tmorin/homecloud/internal/config"
)

// Measures of the diagram, in pixels.
const (
	pageWidth = 960
	margin    = 24
	// A lane on either side of the boards leads lines past their rows.
	leftLane, rightLane = 52, pageWidth - 52
	innerLeft           = 64
	innerWidth          = pageWidth - 2*innerLeft
	frameLeft           = 40
	frameWidth          = pageWidth - 2*frameLeft
)

// diagram is the drawing of a cluster.
type diagram struct {
	*canvas
	cluster *config.Cluster
	serves  bool // there is a NAS
	y       int  // where what comes next begins
}

// Cluster draws the cloud of a cluster file: the home's network with its boards
// and their disks, the shares with the doors that they are open by, services,
// and the devices outside with the direction in which they synchronise.
func Cluster(cluster *config.Cluster) []byte {
	d := drawCluster(cluster)
	return d.svg(pageWidth, d.y, "The cloud "+cluster.Name, describe(cluster))
}

func drawCluster(cluster *config.Cluster) *diagram {
	d := &diagram{canvas: newCanvas(), cluster: cluster, serves: len(cluster.DNAS.Nodes) > 0 && len(cluster.DNAS.Shares) > 0}
	d.text(rect{margin, margin, pageWidth - 2*margin, 32}, heading, cluster.Name)
	d.text(rect{margin, margin + 32, pageWidth - 2*margin, 20}, soft, summary(cluster))
	d.y = margin + 64

	// The network's frame is drawn first, below all that is in it, and gets its height in the end.
	network := rect{margin, d.y, pageWidth - 2*margin, 0}
	at := len(d.boxes)
	frame := d.box(network, "area", 14)
	d.networkNames(network)
	address := d.entrance()
	boards := d.boards()
	if address != nil {
		d.moves(*address, boards)
	}
	shares := d.shares(boards)
	d.services()
	network.h = d.y - network.y
	d.boxes[at] = network
	frame.CreateAttr("height", fmt.Sprint(network.h))

	d.devices(shares)
	d.legend()
	return d
}

func summary(c *config.Cluster) string {
	parts := []string{counted(len(c.Nodes), "board"), counted(len(c.DNAS.Shares), "share")}
	if n := len(enabled(c)); n > 0 {
		parts = append(parts, counted(n, "service"))
	}
	if n := len(c.Devices); n > 0 {
		parts = append(parts, counted(n, "device"))
	}
	return strings.Join(parts, ", ")
}

func counted(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

func (d *diagram) networkNames(network rect) {
	name := "Home network"
	if subnet := d.cluster.Network.Subnet; subnet.IsValid() {
		name += " " + subnet.String()
	}
	line := network.inset(16).line(-2, 20, 0)
	half := line
	half.w = line.w / 2
	d.text(half, label, name)
	var others []string
	for _, lan := range d.cluster.Network.LAN {
		if lan != d.cluster.Network.Subnet {
			others = append(others, lan.String())
		}
	}
	if others != nil {
		allowed := "allowed: "
		if d.cluster.Network.Subnet.IsValid() {
			allowed = "also allowed: "
		}
		d.text(rect{half.right(), half.y, line.w - half.w, half.h}, small.at("end"), allowed+strings.Join(others, ", "))
	}
	d.y += 46
}

// entrance draws what people and boards reach first, and tells where the
// virtual address stands.
func (d *diagram) entrance() (address *rect) {
	const height = 62
	network := d.cluster.Network
	var signs []func(cell rect)
	sign := func(class, icon string, draw func(in rect)) {
		signs = append(signs, func(cell rect) {
			d.box(cell, class, 10)
			in := rect{cell.x + 14, cell.y + 10, cell.w - 28, height - 20}
			if icon != "" {
				d.icon("icon", point{in.x, in.y + 11}, icon)
				in = in.line(0, in.h, 32)
			}
			draw(in)
		})
	}
	sign("card", routerIcon, func(in rect) {
		if !network.Gateway.IsValid() {
			d.text(in.line(11, 20, 0), title, "Router")
			return
		}
		d.text(in.line(0, 20, 0), title, "Router")
		d.text(in.line(22, 20, 0), small, network.Gateway.String())
	})
	if network.VIP != nil {
		sign("address", moveIcon, func(in rect) {
			d.text(in.line(0, 20, 0), title, network.VIP.Address.String())
			d.text(in.line(22, 20, 0), small, "moves to a board that works")
		})
	}
	if ways := d.open(); len(ways) > 0 {
		sign("card", "", func(in rect) {
			for i, way := range ways {
				down := 22 * i
				if len(ways) == 1 {
					down = 11
				}
				chip := d.chip(point{in.x, in.y + down}, way.class, way.name, false)
				d.text(rect{chip.right() + 8, chip.y, in.right() - chip.right() - 8, 20}, small, way.address)
			}
		})
	}
	cells := row(innerLeft, innerWidth, d.y, len(signs), 32, 400, height)
	for i, draw := range signs {
		draw(cells[i])
	}
	d.y += height + 28
	if network.VIP != nil {
		d.y += 16
		address = &cells[1]
	}
	return address
}

// opened is how a door is reached.
type opened struct {
	door
	address string
}

// open tells how the shares are opened, by an address that is there for sure.
func (d *diagram) open() (ways []opened) {
	c := d.cluster
	if !d.serves {
		return nil
	}
	host := c.DNASNodes()[0].Address
	if c.Network.VIP != nil {
		host = c.Network.VIP.Address.String()
	}
	if slices.ContainsFunc(c.DNAS.Shares, func(s config.Share) bool { return s.SMB.Enabled }) {
		ways = append(ways, opened{smb, `\\` + host + `\SHARE`})
	}
	if slices.ContainsFunc(c.DNAS.Shares, func(s config.Share) bool { return s.NFS.Enabled }) {
		ways = append(ways, opened{nfs, host + ":/SHARE"})
	}
	return ways
}

// boards draws the boards in rows, and gives where they stand.
func (d *diagram) boards() []rect {
	nodes := d.cluster.Nodes
	disks, facts := 0, false
	for _, node := range nodes {
		disks = max(disks, len(node.Disks))
		facts = facts || hardware(node) != ""
	}
	height := 14 + 20 + 20 + disks*52 + 12
	if facts {
		height += 18
	}
	cells := grid(innerLeft, innerWidth, d.y, len(nodes), columns(len(nodes), 4), 32, 400, height, 52)
	for i, node := range nodes {
		d.board(cells[i], node)
	}
	d.y = lowest(cells, d.y)
	return cells
}

func (d *diagram) board(cell rect, node config.Node) {
	d.box(cell, "card", 10)
	in := rect{cell.x + 14, cell.y + 12, cell.w - 28, cell.h - 24}
	role := d.chip(point{in.right(), in.y}, "chip", node.Role, true)
	name := in.line(0, 20, 0)
	name.w = role.x - 8 - name.x
	d.text(name, title, node.Name)
	down := 22
	address := node.Address
	if node.Interface != "" {
		address += ", " + node.Interface
	}
	d.text(in.line(down, 18, 0), soft, address)
	down += 18
	if facts := hardware(node); facts != "" {
		d.text(in.line(down, 18, 0), small, facts)
	}
	for i, disk := range slices.Backward(node.Disks) {
		box := rect{in.x, cell.bottom() - 12 - 52*(len(node.Disks)-i) + 8, in.w, 44}
		class, icon, use := "disk", "icon", ""
		if d.holds(node.Name) && disk.Name == d.cluster.DNAS.Disk {
			class, icon, use = "data", "data-icon", "shares"
		}
		d.box(box, class, 8)
		d.icon(icon, point{box.x + 10, box.y + 12}, diskIcon)
		above := box.inset(4).line(0, 20, 34)
		if use != "" {
			chip := d.chip(point{box.right() - 8, above.y}, "syncthing", use, true)
			above.w = chip.x - 8 - above.x
		}
		d.text(above, label, disk.Name)
		below := box.inset(4).line(20, 16, 34)
		below.w -= 4
		d.text(below, small, source(disk))
	}
}

func (d *diagram) holds(node string) bool {
	return d.serves && slices.Contains(d.cluster.DNAS.Nodes, node)
}

func hardware(node config.Node) string {
	var parts []string
	for _, part := range []string{node.Board, node.Arch} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	if node.Memory > 0 {
		parts = append(parts, budget.Bytes(node.Memory).String())
	}
	return strings.Join(parts, ", ")
}

func source(disk config.Disk) string {
	if disk.UUID != "" {
		return disk.UUID
	}
	return path.Base(disk.Device)
}

// chip draws a word on a coloured ground; the point is its upper left corner,
// or the upper right one.
func (d *canvas) chip(at point, class, text string, right bool) rect {
	f := font{class: class + "-text", size: 11, bold: true}
	r := rect{at.x, at.y, f.width(text) + 16, 20}
	if right {
		r.x -= r.w
	}
	d.box(r, class, 10)
	d.text(r.inset(2), f.at("middle"), text)
	return r
}

// moves draws where the virtual address may go: to the boards of the NAS, or to
// all when there is none.
func (d *diagram) moves(address rect, boards []rect) {
	trunk := boards[0].y - 20
	for i, node := range d.cluster.Nodes {
		if d.serves && !d.holds(node.Name) {
			continue
		}
		board, points := boards[i], []point{address.floor()}
		if board.y == boards[0].y {
			points = append(points, point{address.centre(), trunk}, point{board.centre(), trunk})
		} else {
			points = append(points, point{address.centre(), trunk}, point{leftLane, trunk},
				point{leftLane, board.y - 20}, point{board.centre(), board.y - 20})
		}
		d.path("moves", append(points, board.top())...)
		d.arrow("moves-head", board.top(), true)
	}
}

// shares draws the frame of shares, and the lines of the boards that hold them.
func (d *diagram) shares(boards []rect) *rect {
	if !d.serves {
		d.y += 20
		return nil
	}
	d.y += 44
	c := d.cluster
	frame := rect{frameLeft, d.y, frameWidth, 0}
	at := len(d.boxes)
	drawn := d.box(frame, "inner", 12)

	head := frame.inset(16).line(-4, 20, 0)
	d.text(head, label, "Shares")
	held := "on " + c.DNAS.Nodes[0] + " alone"
	if len(c.DNAS.Nodes) > 1 {
		held = "whole on each of " + strings.Join(c.DNAS.Nodes, ", ") + ", kept the same by Syncthing"
	}
	d.text(rect{head.x + 64, head.y, head.w - 64, head.h}, small, held)

	n := len(c.DNAS.Shares)
	inRow := columns(n, 3)
	if n > 9 {
		inRow = columns(n, 4)
	}
	cells := grid(frame.x+16, frame.w-32, d.y+40, n, inRow, 12, 418, 88, 12)
	for i, share := range c.DNAS.Shares {
		d.share(cells[i], share)
	}
	frame.h = lowest(cells, d.y+40) + 16 - frame.y
	d.boxes[at] = frame
	drawn.CreateAttr("height", fmt.Sprint(frame.h))
	for i, node := range c.Nodes {
		if !d.holds(node.Name) {
			continue
		}
		board := boards[i]
		points := []point{board.floor()}
		if board.y != boards[len(boards)-1].y {
			points = append(points, point{board.centre(), board.bottom() + 20}, point{rightLane, board.bottom() + 20})
		}
		end := point{points[len(points)-1].x, frame.y}
		d.path("sync", append(points, end)...)
		if len(c.DNAS.Nodes) > 1 {
			d.arrow("sync-head", end, true)
			d.arrow("sync-head", board.floor(), false)
		}
	}
	d.y = frame.bottom() + 16
	return &frame
}

func (d *diagram) share(cell rect, share config.Share) {
	d.box(cell, "card", 8)
	in := cell.inset(10)
	d.text(in.line(-1, 20, 0), label, share.Name)
	x := in.x
	for _, door := range doorsOf(share) {
		x = d.chip(point{x, in.y + 24}, door.class, door.name, false).right() + 6
	}
	d.text(in.line(50, 18, 0), small, readers(share))
}

// door is a way into a share, and how it is coloured.
type door struct{ class, name string }

var (
	smb       = door{"smb", "SMB"}
	nfs       = door{"nfs", "NFS"}
	syncthing = door{"syncthing", "Syncthing"}
	none      = door{"chip", "boards alone"}
)

func doorsOf(share config.Share) (doors []door) {
	if share.SMB.Enabled {
		doors = append(doors, smb)
	}
	if share.NFS.Enabled {
		doors = append(doors, nfs)
	}
	if len(share.Sync.Devices) > 0 {
		doors = append(doors, syncthing)
	}
	if doors == nil {
		doors = append(doors, none)
	}
	return doors
}

// readers says who may do what with a share.
func readers(share config.Share) string {
	var write, read []string
	for _, name := range slices.Sorted(maps.Keys(share.Access)) {
		if share.Access[name] == config.AccessWrite {
			write = append(write, name)
		} else {
			read = append(read, name)
		}
	}
	if share.Guest == config.AccessRead {
		read = append(read, "guests")
	}
	var parts []string
	if write != nil {
		parts = append(parts, "write: "+strings.Join(write, ", "))
	}
	if read != nil {
		parts = append(parts, "read: "+strings.Join(read, ", "))
	}
	return strings.Join(parts, "; ")
}

// services draws those that are switched on. The frame leaves the lane free in
// which devices reach the shares.
func (d *diagram) services() {
	names := enabled(d.cluster)
	if len(names) == 0 {
		return
	}
	frame := rect{frameLeft, d.y, rightLane - 20 - frameLeft, 0}
	at := len(d.boxes)
	drawn := d.box(frame, "area", 12)
	d.text(frame.inset(16).line(-4, 20, 0), label, "Services")
	cells := grid(frame.x+16, frame.w-32, d.y+40, len(names), columns(len(names), 4), 12, 260, 58, 12)
	for i, name := range names {
		service := d.cluster.Services[name]
		d.box(cells[i], "card", 8)
		in := cells[i].inset(10)
		d.text(in.line(-1, 20, 0), label, name)
		var facts []string
		for _, fact := range append([]string{service.Host, service.Share}, service.Shares...) {
			if fact != "" {
				facts = append(facts, fact)
			}
		}
		d.text(in.line(20, 18, 0), small, strings.Join(facts, ", "))
	}
	frame.h = lowest(cells, d.y+40) + 16 - frame.y
	d.boxes[at] = frame
	drawn.CreateAttr("height", fmt.Sprint(frame.h))
	d.y = frame.bottom() + 16
}

func enabled(c *config.Cluster) (names []string) {
	for _, name := range slices.Sorted(maps.Keys(c.Services)) {
		if c.Services[name].Enabled {
			names = append(names, name)
		}
	}
	return names
}

// devices draws what is outside of the cluster, with lines to the shares.
func (d *diagram) devices(shares *rect) {
	devices := d.cluster.Devices
	if len(devices) == 0 {
		d.y += 12
		return
	}
	lines := 1
	for _, device := range devices {
		lines = max(lines, len(synchronises(d.cluster, device).lines()))
	}
	d.y += 44
	cells := grid(innerLeft, innerWidth, d.y, len(devices), columns(len(devices), 4), 32, 256, 46+18*lines, 44)
	for i, device := range devices {
		cell := cells[i]
		d.box(cell, "outside", 10)
		d.icon("icon", point{cell.x + 12, cell.y + 12}, deviceIcon)
		in := cell.inset(12)
		name := in.line(0, 20, 28)
		d.text(name, label, device.Name)
		if used := label.width(device.Name) + 8; device.Owner != "" && used < name.w {
			d.text(rect{name.x + used, name.y, name.w - used, 20}, small, "of "+device.Owner)
		}
		keeps := synchronises(d.cluster, device)
		for k, line := range keeps.lines() {
			d.text(in.line(24+18*k, 18, 0), small, line)
		}
		if shares == nil || keeps.both == nil && keeps.sends == "" {
			continue
		}
		points := []point{cell.top()}
		if cell.y != cells[0].y || len(enabled(d.cluster)) > 0 {
			points = append(points, point{cell.centre(), cell.y - 20}, point{rightLane, cell.y - 20})
		}
		end := point{points[len(points)-1].x, shares.bottom()}
		d.path("sync", append(points, end)...)
		d.arrow("sync-head", end, false)
		if keeps.both != nil {
			d.arrow("sync-head", cell.top(), true)
		}
	}
	d.y = lowest(cells, d.y) + 12
}

// kept is what a device synchronises: shares both ways, or a folder that it
// only sends.
type kept struct {
	both  []string
	sends string
}

func synchronises(c *config.Cluster, device config.Device) (k kept) {
	for _, share := range c.DNAS.Shares {
		if slices.Contains(share.Sync.Devices, device.Name) {
			k.both = append(k.both, share.Name)
		}
	}
	if device.Camera != nil {
		k.sends = path.Join(device.Camera.Share, device.Camera.Path)
	}
	return k
}

func (k kept) lines() (lines []string) {
	if k.both != nil {
		lines = append(lines, "both ways: "+strings.Join(k.both, ", "))
	}
	if k.sends != "" {
		lines = append(lines, "only sends: "+k.sends)
	}
	if lines == nil {
		lines = append(lines, "no share yet")
	}
	return lines
}

// legend explains the lines, when there are any.
func (d *diagram) legend() {
	type sample struct{ class, text string }
	var samples []sample
	if d.cluster.Network.VIP != nil {
		samples = append(samples, sample{"moves", "the virtual address is on one of these boards"})
	}
	if d.serves {
		samples = append(samples, sample{"sync", "files, by Syncthing"})
		if len(d.cluster.DNAS.Nodes) == 1 && len(d.cluster.Devices) == 0 {
			samples[len(samples)-1].text = "files"
		}
	}
	x := margin
	for _, s := range samples {
		d.path(s.class, point{x, d.y + 10}, point{x + 28, d.y + 10})
		w := small.width(s.text)
		d.text(rect{x + 36, d.y, w, 20}, small, s.text)
		x += 36 + w + 32
	}
	if samples != nil {
		d.y += 20
	}
	d.y += margin
}
