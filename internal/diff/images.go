package diff

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Image is an image in whose place containers run another one.
type Image struct{ Before, After string }

var imagePath = regexp.MustCompile(`ontainers\[[^\]]*\]\.image$`)

// Images lists the images that change, each once and sorted.
func Images(changes []Change) (found []Image) {
	for _, c := range changes {
		for _, f := range c.Fields {
			image := Image{fmt.Sprint(f.Before), fmt.Sprint(f.After)}
			if imagePath.MatchString(f.Path) && f.Before != nil && f.After != nil && !slices.Contains(found, image) {
				found = append(found, image)
			}
		}
	}
	slices.SortFunc(found, func(a, b Image) int { return strings.Compare(a.Before+" "+a.After, b.Before+" "+b.After) })
	return found
}
