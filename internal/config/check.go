package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tmorin/homecloud/internal/config/v1alpha1"
)

// check turns the versioned types into the internal one and judges it, section
// by section. The sections only read what earlier ones have written.
type check struct {
	file, lock *document
	in         *v1alpha1.Cluster
	facts      *v1alpha1.Lock
	out        Cluster
	warnings   []Finding
	// factPath maps a path of the cluster file to the path in the lock that
	// filled it, so that errors point at what was written.
	factPath map[string]string
}

func (c *check) run() {
	c.header()
	c.os()
	c.people()
	c.boards()
	c.network()
	c.devices()
	c.nas()
	c.shares()
	c.platform()
	c.services()
	c.backup()
	c.unbuilt()
	c.inert()
}

// fail reports an error of a value. What the decoder has refused already is
// not refused again.
func (c *check) fail(path, problem, remedy string) {
	if c.brokenAt(path) {
		return
	}
	finding := c.finding(path, problem, remedy)
	c.file.findings = append(c.file.findings, finding)
}

// refuse reports an error that makes a value unusable for later rules.
func (c *check) refuse(path, problem, remedy string) {
	c.fail(path, problem, remedy)
	c.file.broken[path] = true
}

func (c *check) warn(path, problem, remedy string) {
	if !c.brokenAt(path) {
		c.warnings = append(c.warnings, c.finding(path, problem, remedy))
	}
}

func (c *check) finding(path, problem, remedy string) Finding {
	document, at := c.file, path
	if fact, ok := c.factPath[path]; ok {
		document, at = c.lock, fact
		path = fact
	}
	node := document.nearest(at)
	return Finding{
		File: document.file, Line: node.Line, Column: node.Column,
		Path: path, Problem: problem, Remedy: remedy,
	}
}

// nearest is where a field stands, or the closest thing around it.
func (d *document) nearest(path string) *yaml.Node {
	for {
		if node := d.values[path]; node != nil {
			// A section's own line is the line of its name.
			if key := d.keys[path]; key != nil && node.Kind != yaml.ScalarNode {
				return key
			}
			return node
		}
		parent := parentOf(path)
		if parent == path {
			return d.root
		}
		path = parent
	}
}

func parentOf(path string) string {
	cut := max(strings.LastIndexByte(path, '.'), strings.LastIndexByte(path, '['))
	return path[:max(cut, 0)]
}

// wrote says whether the file itself holds a usable value at the path.
func (c *check) wrote(path string) bool {
	return c.file.values[path] != nil && !c.file.broken[path]
}

// brokenAt says whether the path, or something above it, was refused.
func (c *check) brokenAt(path string) bool {
	for {
		if c.file.broken[path] {
			return true
		}
		parent := parentOf(path)
		if parent == path || parent == "" {
			return c.file.broken[parent]
		}
		path = parent
	}
}

// brokenUnder says whether anything of a section was refused: then references
// into it can't be judged.
func (c *check) brokenUnder(section string) bool {
	if c.brokenAt(section) {
		return true
	}
	for path := range c.file.broken {
		if rest, ok := strings.CutPrefix(path, section); ok && (rest[0] == '.' || rest[0] == '[') {
			return true
		}
	}
	return false
}

// faulty says whether an error is told of a section or of anything in it: what
// follows from it needn't be told, too.
func (c *check) faulty(section string) bool {
	return c.brokenUnder(section) || slices.ContainsFunc(c.file.findings, func(f Finding) bool {
		rest, ok := strings.CutPrefix(f.Path, section)
		return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
	})
}

// brokenNames says whether a section, one of its entries as a whole, or the name
// of one was refused: then nobody knows which names there are.
func (c *check) brokenNames(section string) bool { return c.brokenEntries(section, ".name") }

// brokenEntries says the same of another field of the entries.
func (c *check) brokenEntries(section, field string) bool {
	if c.brokenAt(section) {
		return true
	}
	for path := range c.file.broken {
		rest, ok := strings.CutPrefix(path, section)
		if !ok {
			continue
		}
		entry := entryOf.ReplaceAllString(rest, "")
		if entry == "" || entry == field || strings.HasPrefix(entry, field+".") || strings.HasPrefix(entry, field+"[") {
			return true
		}
	}
	return false
}

// entryOf is the number or the key of an entry.
var entryOf = regexp.MustCompile(`^(\[\d+\])`)

// refer judges a name that must exist in a section.
func (c *check) refer(path, name, kind string, known []string, section string) bool {
	if slices.Contains(known, name) {
		return true
	}
	if name != "" && !c.brokenNames(section) {
		c.fail(path, "there is no "+kind+" "+shown(name), didYouMean(name, known, kind))
	}
	return false
}

// unique judges that no value of a list is written twice; same decides.
func (c *check) unique(seen map[string]string, key, path, problem, remedy string) bool {
	if key == "" {
		return true
	}
	if first, ok := seen[key]; ok {
		c.fail(path, problem+fmt.Sprintf(" (first at %s)", first), remedy)
		return false
	}
	seen[key] = path
	return true
}

func (c *check) header() {
	c.out.Name = c.in.Name
	c.name("name", c.in.Name, clusterName)
	if c.facts.Cluster != "" && c.in.Name != "" && c.facts.Cluster != c.in.Name && !c.brokenAt("name") {
		c.factPath["lock"] = "cluster"
		c.fail("lock", "belongs to the cluster "+shown(c.facts.Cluster)+", this one is "+shown(c.in.Name),
			"remove the lock file")
	}
}
