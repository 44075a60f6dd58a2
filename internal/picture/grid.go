package picture

// columns shares things out among rows so that the last isn't nearly empty:
// five are three and two.
func columns(n, most int) int {
	rows := max(1, (n+most-1)/most)
	return (n + rows - 1) / rows
}

// row are n cells beside each other, as wide as there is room, in the middle.
func row(x, width, y, n, gap, widest, height int) []rect {
	return grid(x, width, y, n, n, gap, widest, height, 0)
}

// grid are n cells in rows; those of a short last row stand in the middle.
func grid(x, width, y, n, columns, gap, widest, height, rowGap int) []rect {
	if n == 0 {
		return nil
	}
	w := min(widest, (width-(columns-1)*gap)/columns)
	cells := make([]rect, n)
	for i := range cells {
		line := i / columns
		inLine := min(columns, n-line*columns)
		left := x + (width-inLine*w-(inLine-1)*gap)/2
		cells[i] = rect{left + i%columns*(w+gap), y + line*(height+rowGap), w, height}
	}
	return cells
}

// lowest is where the last cell ends.
func lowest(cells []rect, y int) int {
	for _, cell := range cells {
		y = max(y, cell.bottom())
	}
	return y
}
