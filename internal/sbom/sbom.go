// Package sbom says what is inside of what we publish, as CycloneDX: the
// modules of a Go program, the charts and images of a chart, the packages and
// programs of an image. The same content gives the same bytes: there is no
// clock and no random number in it. It reads what was built and asks nobody.
package sbom

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/uuid"
	"github.com/package-url/packageurl-go"
)

// bill gathers components, each once by its reference.
type bill struct {
	subject    cdx.Component
	components map[string]cdx.Component
	needs      map[string][]string
}

func newBill(subject cdx.Component) *bill {
	return &bill{subject: subject, components: map[string]cdx.Component{}, needs: map[string][]string{}}
}

// add notes that the component called by needs another one.
func (b *bill) add(by string, component cdx.Component) {
	b.components[component.BOMRef] = component
	b.needs[by] = append(b.needs[by], component.BOMRef)
}

// encode writes everything in its order, under a serial number that is made of
// the content.
func (b *bill) encode() ([]byte, error) {
	bom := cdx.NewBOM()
	bom.Metadata = &cdx.Metadata{Component: &b.subject}
	components := slices.SortedFunc(maps.Values(b.components), func(a, b cdx.Component) int { return cmp.Compare(a.BOMRef, b.BOMRef) })
	bom.Components = &components
	var dependencies []cdx.Dependency
	for _, ref := range slices.Sorted(maps.Keys(b.needs)) {
		needed := slices.Compact(slices.Sorted(slices.Values(b.needs[ref])))
		dependencies = append(dependencies, cdx.Dependency{Ref: ref, Dependencies: &needed})
	}
	bom.Dependencies = &dependencies
	text, err := write(bom)
	if err != nil {
		return nil, err
	}
	bom.SerialNumber = uuid.NewSHA1(uuid.NameSpaceOID, text).URN()
	return write(bom)
}

// The version of the format that scanners know by now.
const format = cdx.SpecVersion1_6

func write(bom *cdx.BOM) ([]byte, error) {
	var text bytes.Buffer
	err := cdx.NewBOMEncoder(&text, cdx.BOMFileFormatJSON).SetPretty(true).SetEscapeHTML(false).EncodeVersion(bom, format)
	return text.Bytes(), err
}

// purl names a package in the way that scanners look it up.
func purl(kind, namespace, name, version string, qualifiers map[string]string) string {
	maps.DeleteFunc(qualifiers, func(_, value string) bool { return value == "" })
	return packageurl.NewPackageURL(kind, namespace, name, version, packageurl.QualifiersFromMap(qualifiers), "").String()
}

func licences(expression string) *cdx.Licenses {
	if expression == "" {
		return nil
	}
	return &cdx.Licenses{{Expression: expression}}
}

func sha256Of(sum []byte) *[]cdx.Hash {
	return &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: fmt.Sprintf("%x", sum)}}
}

func properties(name string, values ...string) *[]cdx.Property {
	var list []cdx.Property
	for _, value := range values {
		list = append(list, cdx.Property{Name: "homecloud:" + name, Value: value})
	}
	if list == nil {
		return nil
	}
	return &list
}
