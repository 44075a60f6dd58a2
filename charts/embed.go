// Package charts carries homecloud's own charts inside the binary, so that
// hcchart installs the same cloud from any folder. Downloaded archives of
// third-party charts stay outside.
package charts

import "embed"

// FS holds one folder per chart.
//
//go:embed */.helmignore */Chart.yaml */README.md */values.yaml */values.schema.json all:*/templates
var FS embed.FS
