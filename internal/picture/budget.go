package picture

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tmorin/homecloud/internal/budget"
)

// Measures of the bars, in pixels.
const (
	barLeft   = 200
	barWidth  = pageWidth - barLeft - margin
	barHeight = 32
	barStep   = 92 // from one board to the next
)

// Budget draws a bar for each board: what it needs, part by part, within what it
// has, and up to where everything may grow.
func Budget(b *budget.Budget) []byte {
	c, height := drawBudget(b)
	var description []string
	for _, board := range b.Boards {
		description = append(description, fmt.Sprintf("%s: %s.", board.Name, board.Balance()))
	}
	return c.svg(pageWidth, height, "Memory of the boards", strings.Join(description, " "))
}

func drawBudget(b *budget.Budget) (*canvas, int) {
	c := newCanvas()
	c.text(rect{margin, margin, pageWidth - 2*margin, 32}, heading, "Memory of the boards")
	c.text(rect{margin, margin + 32, pageWidth - 2*margin, 20}, soft, "Each bar is what a board needs, up to the mark of what it has; the line below it is what everything together may take.")
	y := margin + 76

	scale := newScale(b)
	bottom := y + len(b.Boards)*barStep - 20
	for tick := budget.Bytes(0); tick <= scale.most; tick += scale.step {
		x := barLeft + scale.pixels(tick)
		for i := range b.Boards {
			c.shape("grid", fmt.Sprintf("M%d %dv%d", x, y+i*barStep+22, barHeight+14)) // below the bars
		}
		text := rect{x - 40, bottom + 4, 80, 16}
		if tick == 0 {
			c.text(text, small.at("middle"), "0")
		} else {
			c.text(text, small.at("middle"), tick.String())
		}
	}
	groups := groupsOf(b)
	for _, board := range b.Boards {
		c.board(y, board, scale, groups)
		y += barStep
	}
	return c, c.groups(bottom+40, groups) + margin
}

// board draws the bar of one board.
func (c *canvas) board(y int, board budget.Board, s scale, groups []string) {
	left := rect{margin, y, barLeft - margin - 16, 0}
	c.text(left.line(0, 20, 0), title, board.Name)
	c.text(left.line(22, 18, 0), small, "k3s "+board.Role)
	verdict := small
	if board.Verdict == budget.TooSmall {
		verdict.class = "bad"
	}
	above := rect{barLeft, y, barWidth, 18}
	c.text(above, verdict, board.Balance())

	bar := rect{barLeft, y + 22, 0, barHeight}
	if board.Memory > 0 {
		c.backdrop(rect{bar.x, bar.y, s.pixels(board.Memory), barHeight}, "has")
	}
	var sum budget.Bytes
	for _, part := range board.Parts {
		from := s.pixels(sum)
		sum += part.Needs
		block := rect{barLeft + from, bar.y, s.pixels(sum) - from, barHeight}
		if block.w < 1 {
			continue
		}
		e := c.box(block, fmt.Sprintf("p%d part", slices.Index(groups, group(part))%8), 0)
		e.CreateElement("title").SetText(clean(fmt.Sprintf("%s: %s", part, part.Needs)))
	}
	if board.Memory > 0 {
		c.shape("end", fmt.Sprintf("M%d %dv%d", barLeft+s.pixels(board.Memory), bar.y-3, barHeight+6))
	}
	under := bar.bottom() + 8
	if most := s.pixels(board.Most); most > 0 {
		c.shape("most", fmt.Sprintf("M%d %dh%dm0 -4v8", barLeft, under, most))
	}
}

// groups draws what the colours mean, and gives where it ends.
func (c *canvas) groups(y int, groups []string) int {
	x := margin
	for i, name := range groups {
		w := small.width(name)
		if x > margin && x+20+w > pageWidth-margin {
			x, y = margin, y+24
		}
		c.box(rect{x, y + 4, 12, 12}, fmt.Sprintf("p%d", i%8), 3)
		c.text(rect{x + 20, y, min(w, pageWidth-2*margin-20), 20}, small, name)
		x += 20 + w + 24
	}
	return y + 20
}

// group is what a part is coloured by.
func group(part budget.Part) string {
	switch {
	case part.Chart != "":
		return part.Chart
	case strings.HasPrefix(part.Name, "k3s"):
		return "k3s"
	}
	return "system"
}

// groupsOf are the groups of all boards, k3s and the system first.
func groupsOf(b *budget.Budget) []string {
	var charts []string
	for _, board := range b.Boards {
		for _, part := range board.Parts {
			if part.Chart != "" {
				charts = append(charts, part.Chart)
			}
		}
	}
	slices.Sort(charts)
	return append([]string{"k3s", "system"}, slices.Compact(charts)...)
}

// scale turns memory into pixels.
type scale struct{ most, step budget.Bytes }

// newScale holds the most that a board has, needs or may take, in few steps.
func newScale(b *budget.Budget) scale {
	most := budget.Bytes(1)
	for _, board := range b.Boards {
		most = max(most, board.Memory, board.Needs, board.Most)
	}
	step := budget.Bytes(1 << 29)
	for most/step > 4 {
		step *= 2
	}
	return scale{most: (most + step - 1) / step * step, step: step}
}

func (s scale) pixels(b budget.Bytes) int { return int(int64(b) * (barWidth - 40) / int64(s.most)) }
