// Package version says which build this is.
package version

import (
	"fmt"
	"runtime"
)

// number is the release, such as v1.2.3; the Makefile and images/images.yaml
// set it at link time.
var number = "devel"

// Line is what a program prints of itself.
func Line(program string) string {
	return fmt.Sprintf("%s %s (%s)\n", program, number, runtime.Version())
}
