package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

func (b *build) notes() (string, error) {
	path := filepath.Join(b.root, "CHANGELOG.md")
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	for _, title := range []string{strings.TrimPrefix(b.version, "v"), "Unreleased"} {
		if body, found := section(string(text), title); found {
			return "# homecloud " + b.version + "\n\n" + body + "\n", nil
		}
	}
	return "", fmt.Errorf("%s: has neither a section %q nor %q; write what changed", path, "## "+strings.TrimPrefix(b.version, "v"), "## Unreleased")
}

// section is what stands below a heading: "## 1.2.0", or "## 1.2.0 - 2026-11-22".
func section(text, title string) (string, bool) {
	var body strings.Builder
	inside := false
	for line := range strings.Lines(text) {
		if heading, is := strings.CutPrefix(line, "## "); is {
			if inside {
				break
			}
			words := strings.Fields(heading)
			inside = len(words) > 0 && strings.Trim(words[0], "[]") == title
			continue
		}
		if inside {
			body.WriteString(line)
		}
	}
	return strings.TrimSpace(body.String()), inside
}
