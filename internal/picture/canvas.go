// Package picture draws the cloud of a cluster file and the memory of its
// boards, as SVG that needs nothing from elsewhere, follows the reader's light
// or dark scheme, and is the same for the same input. It decides where things
// stand; what they are it is told.
package picture

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/beevik/etree"
)

// canvas collects shapes. It writes XML by etree, which escapes and which the
// module has anyway; libraries that draw SVG write attributes as they come.
type canvas struct {
	root *etree.Element
	// What was drawn where, for the tests that nothing covers anything.
	boxes, texts []rect
	lines        [][]point
}

type point struct{ x, y int }

// rect is in pixels, from the upper left corner.
type rect struct{ x, y, w, h int }

func (r rect) right() int   { return r.x + r.w }
func (r rect) bottom() int  { return r.y + r.h }
func (r rect) centre() int  { return r.x + r.w/2 }
func (r rect) top() point   { return point{r.centre(), r.y} }
func (r rect) floor() point { return point{r.centre(), r.bottom()} }

// inset is the rectangle without a border on all sides.
func (r rect) inset(by int) rect { return rect{r.x + by, r.y + by, r.w - 2*by, r.h - 2*by} }

// line is a line of text in it, from the top, indented.
func (r rect) line(down, height, indent int) rect {
	return rect{r.x + indent, r.y + down, r.w - indent, height}
}

func newCanvas() *canvas {
	return &canvas{root: etree.NewElement("svg")}
}

// svg is the picture, with what it shows in words for who can't see it.
func (c *canvas) svg(width, height int, title, description string) []byte {
	root := etree.NewElement("svg")
	for _, attribute := range [][2]string{
		{"xmlns", "http://www.w3.org/2000/svg"}, {"width", strconv.Itoa(width)}, {"height", strconv.Itoa(height)},
		{"viewBox", fmt.Sprintf("0 0 %d %d", width, height)}, {"role", "img"}, {"aria-labelledby", "title description"},
	} {
		root.CreateAttr(attribute[0], attribute[1])
	}
	for _, text := range [][3]string{{"title", "title", title}, {"desc", "description", description}} {
		element := root.CreateElement(text[0])
		element.CreateAttr("id", text[1])
		element.SetText(clean(text[2]))
	}
	root.CreateElement("style").SetText(css)
	page := root.CreateElement("rect")
	place(page, rect{0, 0, width, height}, "page")
	for _, child := range c.root.ChildElements() {
		root.AddChild(child)
	}
	document := etree.NewDocument()
	document.SetRoot(root)
	document.Indent(1)
	text, err := document.WriteToBytes()
	if err != nil {
		panic(fmt.Sprintf("a picture can't be written to memory: %v", err)) // no input leads here
	}
	return text
}

func place(e *etree.Element, r rect, class string) {
	e.CreateAttr("class", class)
	for _, attribute := range []struct {
		name  string
		value int
	}{{"x", r.x}, {"y", r.y}, {"width", r.w}, {"height", r.h}} {
		e.CreateAttr(attribute.name, strconv.Itoa(attribute.value))
	}
}

// box draws a rectangle with round corners.
func (c *canvas) box(r rect, class string, radius int) *etree.Element {
	c.boxes = append(c.boxes, r)
	e := c.root.CreateElement("rect")
	place(e, r, class)
	e.CreateAttr("rx", strconv.Itoa(radius))
	return e
}

// text writes one line into a rectangle, and cuts what has no room there; the
// whole is told to who points at it.
func (c *canvas) text(r rect, f font, text string) {
	text = clean(text)
	shown := f.fit(text, r.w)
	if shown == "" {
		return
	}
	x, w := r.x, f.width(shown)
	switch f.anchor {
	case "middle":
		x = r.centre()
		c.texts = append(c.texts, rect{x - w/2, r.y, w, r.h})
	case "end":
		x = r.right()
		c.texts = append(c.texts, rect{x - w, r.y, w, r.h})
	default:
		c.texts = append(c.texts, rect{x, r.y, w, r.h})
	}
	e := c.root.CreateElement("text")
	e.CreateAttr("class", f.class)
	e.CreateAttr("x", strconv.Itoa(x))
	// The middle of capital letters, which are 0.7 of a font's size high, is that of the line.
	e.CreateAttr("y", strconv.Itoa(r.y+(r.h*10+f.size*7)/20))
	e.CreateAttr("font-size", strconv.Itoa(f.size))
	if f.bold {
		e.CreateAttr("font-weight", "600")
	}
	if f.anchor != "" {
		e.CreateAttr("text-anchor", f.anchor)
	}
	if shown != text {
		e.CreateElement("title").SetText(text)
	}
	e.CreateText(shown)
}

// path draws a line through points, each straight above or beside the one
// before, with round corners.
func (c *canvas) path(class string, points ...point) {
	c.lines = append(c.lines, points)
	var d strings.Builder
	fmt.Fprintf(&d, "M%d %d", points[0].x, points[0].y)
	for i := 1; i < len(points)-1; i++ {
		before, corner, after := points[i-1], points[i], points[i+1]
		const radius = 8
		r := min(radius, distance(before, corner)/2, distance(corner, after)/2)
		in, out := towards(corner, before, r), towards(corner, after, r)
		fmt.Fprintf(&d, "L%d %dQ%d %d %d %d", in.x, in.y, corner.x, corner.y, out.x, out.y)
	}
	last := points[len(points)-1]
	fmt.Fprintf(&d, "L%d %d", last.x, last.y)
	c.shape(class, d.String())
}

// arrow draws a head whose tip is at a point; down says where it points.
func (c *canvas) arrow(class string, tip point, down bool) {
	back := 8
	if down {
		back = -8
	}
	c.shape(class, fmt.Sprintf("M%d %dl-5 %dh10Z", tip.x, tip.y, back))
}

// shape draws what SVG's path language says.
func (c *canvas) shape(class, d string) {
	e := c.root.CreateElement("path")
	e.CreateAttr("class", class)
	e.CreateAttr("d", d)
}

// icon draws a shape of 20 by 20 pixels.
func (c *canvas) icon(class string, at point, d string) {
	c.boxes = append(c.boxes, rect{at.x, at.y, 20, 20})
	e := c.root.CreateElement("path")
	e.CreateAttr("class", class)
	e.CreateAttr("transform", fmt.Sprintf("translate(%d %d)", at.x, at.y))
	e.CreateAttr("d", d)
}

func distance(a, b point) int { return max(a.x-b.x, b.x-a.x) + max(a.y-b.y, b.y-a.y) }

// towards is a point beside another one, on the way to a third.
func towards(from, to point, by int) point {
	step := func(a, b int) int { return max(-by, min(by, b-a)) }
	return point{from.x + step(from.x, to.x), from.y + step(from.y, to.y)}
}

// clean leaves out what XML can't hold.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0xfffe || r == 0xffff || r == '\ufffd' {
			return -1
		}
		return r
	}, text)
}

// backdrop is a rectangle that others may cover.
func (c *canvas) backdrop(r rect, class string) {
	place(c.root.CreateElement("rect"), r, class)
}
