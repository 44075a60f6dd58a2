package picture

import "strings"

// font is how a line of text looks.
type font struct {
	class  string
	size   int
	bold   bool
	anchor string // empty: start, middle, end
}

func (f font) at(anchor string) font { f.anchor = anchor; return f }

// fit is as much of a text as a width holds.
func (f font) fit(text string, width int) string {
	if f.width(text) <= width {
		return text
	}
	runes := []rune(text)
	for n := len(runes) - 1; n > 0; n-- {
		if cut := strings.TrimRight(string(runes[:n]), " .,-") + "…"; f.width(cut) <= width {
			return cut
		}
	}
	return ""
}

// width is how wide a text is in DejaVu Sans, the widest of the fonts that
// readers' systems have: what fits in it fits in theirs.
func (f font) width(text string) int {
	table := &regularWidths
	if f.bold {
		table = &boldWidths
	}
	thousandths := 0
	for _, r := range text {
		if r >= ' ' && r <= '~' {
			thousandths += table[r-' ']
		} else {
			thousandths += 1000 // a square, as of Chinese letters
		}
	}
	return (thousandths*f.size + 999) / 1000
}

// Widths of the characters from space to tilde, in thousandths of the size.
var regularWidths = [95]int{
	317, 400, 459, 837, 636, 950, 779, 274, 390, 390, 500, 837, 317, 360, 317, 336,
	636, 636, 636, 636, 636, 636, 636, 636, 636, 636, 336, 336, 837, 837, 837, 530,
	1000, 684, 686, 698, 770, 631, 575, 774, 751, 294, 294, 655, 557, 862, 748, 787,
	603, 787, 694, 634, 610, 731, 684, 988, 685, 610, 685, 390, 336, 390, 837, 500,
	500, 612, 634, 549, 634, 615, 352, 634, 633, 277, 277, 579, 277, 974, 633, 611,
	634, 634, 411, 520, 392, 633, 591, 817, 591, 591, 524, 636, 336, 636, 837,
}

var boldWidths = [95]int{
	348, 456, 520, 837, 695, 1001, 872, 306, 457, 457, 522, 837, 379, 415, 379, 365,
	695, 695, 695, 695, 695, 695, 695, 695, 695, 695, 399, 399, 837, 837, 837, 580,
	1000, 773, 762, 733, 830, 683, 683, 820, 836, 372, 372, 774, 637, 995, 836, 850,
	732, 850, 770, 720, 682, 812, 773, 1103, 770, 724, 725, 457, 365, 457, 837, 500,
	500, 674, 715, 592, 715, 678, 435, 715, 711, 342, 342, 665, 342, 1041, 711, 687,
	715, 715, 493, 595, 478, 711, 651, 923, 645, 651, 582, 711, 365, 711, 837,
}
