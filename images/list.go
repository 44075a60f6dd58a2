package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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

// parseList decodes strictly and reports everything that is wrong at once, each
// with its line.
func parseList(name string, content []byte) (*List, error) {
	var file struct {
		Base   Base      `yaml:"base"`
		Images yaml.Node `yaml:"images"`
	}
	if err := decodeStrictly(content, &file); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	list := &List{Base: file.Base}
	var errs []error
	report := func(line int, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s:%d: %s", name, line, fmt.Sprintf(format, args...)))
	}

	if file.Images.Kind != yaml.MappingNode || len(file.Images.Content) == 0 {
		report(max(file.Images.Line, 1), "images: name at least one")
		return nil, errors.Join(errs...)
	}
	if err := list.Base.Production.check(); err != nil {
		report(1, "base.production: %v", err)
	}
	if !labelName.MatchString(list.Base.Suite) {
		report(1, "base.suite: %q is not the name of a Debian release", list.Base.Suite)
	}
	taken := map[string]string{}
	for i := 0; i+1 < len(file.Images.Content); i += 2 {
		key, value := file.Images.Content[i], file.Images.Content[i+1]
		image := Image{Name: key.Value}
		// The node loses the strictness of its decoder, so it is decoded again
		// from its own text; that text's line 1 is the file's value.Line.
		if err := decodeNodeStrictly(value, &image); err != nil {
			report(key.Line, "images.%s: %v", key.Value, err)
			continue
		}
		for _, problem := range image.problems() {
			report(key.Line, "images.%s: %s", key.Value, problem)
		}
		for _, path := range image.Values {
			if other, ok := taken[path]; ok {
				report(key.Line, "images.%s: the value %s is already that of %s", key.Value, path, other)
			}
			taken[path] = image.Name
		}
		list.Images = append(list.Images, image)
	}
	return list, errors.Join(errs...)
}

func decodeStrictly(content []byte, into any) error {
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	err := decoder.Decode(into)
	if errors.Is(err, io.EOF) {
		return errors.New("the file is empty")
	}
	return flat(err)
}

func decodeNodeStrictly(node *yaml.Node, into any) error {
	if node.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: a map is expected", node.Line)
	}
	// Comments would move lines, and blank lines put the text where it was.
	var text bytes.Buffer
	text.WriteString(strings.Repeat("\n", node.Line-1))
	encoded, err := yaml.Marshal(node)
	if err != nil {
		return err
	}
	text.Write(encoded)
	return decodeStrictly(text.Bytes(), into)
}

// flat turns the YAML library's several lines into one.
func flat(err error) error {
	var types *yaml.TypeError
	if errors.As(err, &types) {
		return errors.New(strings.Join(types.Errors, "; "))
	}
	return err
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
