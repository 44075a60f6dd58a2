package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"

	"go.yaml.in/yaml/v3"
)

// List is images.yaml.
type List struct {
	Base   Base    `json:"base"`
	Images []Image `json:"images"` // in the file's order
}

// Base is what the Debian-based images are made from.
type Base struct {
	Production Reference `yaml:"production" json:"production"`
	// Suite is the Debian release of the lab's base, by name.
	Suite string `yaml:"suite" json:"suite"`
}

// Image is one image that charts run.
type Image struct {
	Name       string    `yaml:"-" json:"name"`
	Production Reference `yaml:"production" json:"production"`
	// Lab says what the lab runs: "own", the image that production runs too, or
	// "stand-in", one made for the lab where production uses another project's.
	Lab           string   `yaml:"lab" json:"lab"`
	Licence       string   `yaml:"licence" json:"licence"`
	Architectures []string `yaml:"architectures" json:"architectures"`
	// Binary is the program that makes the image, absent where it comes from Debian.
	Binary *Binary `yaml:"binary,omitempty" json:"binary,omitempty"`
	// Values are the places of the image in the umbrella chart's values.
	Values []string `yaml:"values" json:"values"`
}

// Reference is an image in a registry.
type Reference struct {
	Repository string `yaml:"repository" json:"repository"`
	Tag        string `yaml:"tag" json:"tag"`
}

func (r Reference) String() string { return r.Repository + ":" + r.Tag }

// Binary is a Go program to build.
type Binary struct {
	Name    string   `yaml:"name" json:"name"`
	Module  string   `yaml:"module" json:"module"` // its folder, seen from the project's
	Package string   `yaml:"package" json:"package"`
	Tags    []string `yaml:"tags,omitempty" json:"tags,omitempty"`
	LDFlags string   `yaml:"ldflags,omitempty" json:"ldflags,omitempty"` // {version} stands for the image's tag
}

var (
	labelName  = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)
	repository = regexp.MustCompile(`^[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+$`)
	tag        = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)
	valuesPath = regexp.MustCompile(`^[a-z][A-Za-z0-9]*(\.[a-z][A-Za-z0-9]*)+$`)
)

// listFile is how the list is written: images by name.
type listFile struct {
	Base   Base             `yaml:"base"`
	Images map[string]Image `yaml:"images"`
}

// parseList decodes strictly and reports everything that is wrong at once, each
// with its line.
func parseList(name string, content []byte) (*List, error) {
	var file listFile
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil {
		return nil, positioned(name, err)
	}
	// A second time for what Go's map doesn't keep: order and lines.
	var document yaml.Node
	if err := yaml.Unmarshal(content, &document); err != nil {
		return nil, positioned(name, err)
	}
	keys := keysOf(document.Content[0])

	var errs []error
	report := func(line int, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s:%d: %s", name, line, fmt.Sprintf(format, args...)))
	}
	list := &List{Base: file.Base}
	baseLine := max(keys["base"].line, 1)
	if err := list.Base.Production.check(); err != nil {
		report(baseLine, "base.production: %v", err)
	}
	if !labelName.MatchString(list.Base.Suite) {
		report(baseLine, "base.suite: %q is not the name of a Debian release", list.Base.Suite)
	}
	if len(file.Images) == 0 {
		report(max(keys["images"].line, 1), "images: name at least one")
		return nil, errors.Join(errs...)
	}
	lines := keysOf(keys["images"].value)
	names := slices.SortedFunc(maps.Keys(file.Images), func(a, b string) int { return lines[a].line - lines[b].line })
	taken := map[string]string{}
	for _, key := range names {
		image := file.Images[key]
		image.Name = key
		for _, problem := range image.problems() {
			report(lines[key].line, "images.%s: %s", key, problem)
		}
		for _, path := range image.Values {
			if other, ok := taken[path]; ok {
				report(lines[key].line, "images.%s: the value %s is already that of %s", key, path, other)
			}
			taken[path] = key
		}
		list.Images = append(list.Images, image)
	}
	return list, errors.Join(errs...)
}

type keyed struct {
	line  int
	value *yaml.Node
}

func keysOf(node *yaml.Node) map[string]keyed {
	keys := map[string]keyed{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		keys[node.Content[i].Value] = keyed{node.Content[i].Line, node.Content[i+1]}
	}
	return keys
}

var (
	yamlLine     = regexp.MustCompile(`^(?:yaml: )?line ([0-9]+): (.*)$`)
	unknownField = regexp.MustCompile(`^field (\S+) not found in type .*$`)
)

// positioned puts the YAML library's lines where an editor finds them.
func positioned(name string, err error) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%s:1: the file is empty", name)
	}
	messages := []string{err.Error()}
	var types *yaml.TypeError
	if errors.As(err, &types) {
		messages = types.Errors
	}
	var errs []error
	for _, message := range messages {
		line := "1"
		if parts := yamlLine.FindStringSubmatch(message); parts != nil {
			line, message = parts[1], parts[2]
		}
		errs = append(errs, fmt.Errorf("%s:%s: %s", name, line, unknownField.ReplaceAllString(message, "unknown field $1")))
	}
	return errors.Join(errs...)
}

func (r Reference) check() error {
	if !repository.MatchString(r.Repository) {
		return fmt.Errorf("%q is not a repository with its registry", r.Repository)
	}
	if !tag.MatchString(r.Tag) {
		return fmt.Errorf("%q is not a tag", r.Tag)
	}
	return nil
}

func (image Image) problems() []string {
	var found []string
	add := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	if !labelName.MatchString(image.Name) {
		add("%q is not a name: small letters, digits and dashes", image.Name)
	}
	if err := image.Production.check(); err != nil {
		add("production: %v", err)
	}
	if image.Lab != "own" && image.Lab != "stand-in" {
		add("lab: %q: write own or stand-in", image.Lab)
	}
	if image.Licence == "" {
		add("licence is missing")
	}
	if len(image.Architectures) == 0 {
		add("architectures: name at least one")
	}
	for _, architecture := range image.Architectures {
		if !slices.Contains([]string{"amd64", "arm64", "arm", "riscv64"}, architecture) {
			add("architectures: %q is none that Go calls so: amd64, arm64, arm, riscv64", architecture)
		}
	}
	if b := image.Binary; b != nil && (b.Name == "" || b.Module == "" || b.Package == "") {
		add("binary: name, module and package are needed")
	}
	if len(image.Values) == 0 {
		add("values: no chart uses this image")
	}
	for _, path := range image.Values {
		if !valuesPath.MatchString(path) {
			add("values: %q is not CHART.KEY…", path)
		}
	}
	return found
}

// find gives the images with these names, all when there are none.
func (l *List) find(names []string) ([]Image, error) {
	if len(names) == 0 {
		return l.Images, nil
	}
	var images []Image
	for _, name := range names {
		i := slices.IndexFunc(l.Images, func(image Image) bool { return image.Name == name })
		if i < 0 {
			var known []string
			for _, image := range l.Images {
				known = append(known, image.Name)
			}
			return nil, fmt.Errorf("no image %q in images/images.yaml: there are %s", name, strings.Join(known, ", "))
		}
		images = append(images, l.Images[i])
	}
	return images, nil
}

func (l *List) print(out io.Writer, format string) error {
	switch format {
	case "json":
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(l)
	case "yaml":
		// By way of JSON, so that both say the same.
		text, err := json.Marshal(l)
		if err != nil {
			return err
		}
		var plain yaml.Node
		if err := yaml.Unmarshal(text, &plain); err != nil {
			return err
		}
		blockStyle(&plain)
		encoder := yaml.NewEncoder(out)
		encoder.SetIndent(2)
		if err := encoder.Encode(&plain); err != nil {
			return err
		}
		return encoder.Close()
	case "table":
		table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "NAME\tPRODUCTION\tLAB\tARCHITECTURES\tLICENCE")
		for _, image := range l.Images {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", image.Name, image.Production, image.Lab,
				strings.Join(image.Architectures, ","), image.Licence)
		}
		return table.Flush()
	default:
		return fmt.Errorf("--output %q: write table, json or yaml", format)
	}
}

// blockStyle forgets that a text was JSON.
func blockStyle(node *yaml.Node) {
	node.Style = 0
	for _, child := range node.Content {
		blockStyle(child)
	}
}
