package sbom

import (
	"crypto/sha256"
	"errors"
	"path"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/distribution/reference"

	"github.com/tmorin/homecloud/internal/chart"
	"github.com/tmorin/homecloud/internal/imageset"
)

// OfChart describes a chart's archive: the charts inside of it, and the images
// that its default values name, switched on or not.
func OfChart(archive *chart.Archive) ([]byte, error) {
	subject := chartComponent(archive.Chart)
	sum := sha256.Sum256(archive.Content)
	subject.Hashes = sha256Of(sum[:])
	b := newBill(subject)
	values, err := archive.Chart.AllValues()
	if err != nil {
		return nil, err
	}
	annotations, err := archive.Chart.Annotations(imageset.RuntimeImages, nil)
	if err != nil {
		return nil, err
	}
	var images imageset.Set
	if err := errors.Join(b.addChart(archive.Chart, values, &images), images.AddAnnotated(annotations)); err != nil {
		return nil, err
	}
	// A chart that wants values first, as ours do, renders nothing by itself.
	if documents, err := archive.Chart.Documents(chart.RenderOptions{Release: archive.Chart.Name, Namespace: archive.Chart.Name}); err == nil {
		if err := images.AddObjects(documents); err != nil {
			return nil, err
		}
	}
	for _, image := range images.Images(nil) {
		component, err := imageComponent(image.Reference, "", "")
		if err != nil {
			return nil, err
		}
		component.Licenses = licences(image.Licence)
		component.Properties = properties("architecture", image.Architectures...)
		b.add(subject.BOMRef, component)
	}
	return b.encode()
}

// addChart goes through the charts inside of a chart, each with its values as
// the charts above it leave them.
func (b *bill) addChart(c *chart.Chart, values map[string]any, images *imageset.Set) error {
	var errs []error
	for _, below := range c.Dependencies() {
		own, _ := values[below.Name].(map[string]any)
		delete(values, below.Name)
		b.add(chartComponent(c).BOMRef, chartComponent(below))
		errs = append(errs, b.addChart(below, own, images))
	}
	return errors.Join(append(errs, images.AddValues(values, c.Name, c.AppVersion))...)
}

func chartComponent(c *chart.Chart) cdx.Component {
	ref := purl("helm", "", c.Name, c.Version, nil)
	return cdx.Component{
		BOMRef: ref, PackageURL: ref, Type: cdx.ComponentTypeApplication, Name: c.Name, Version: c.Version,
		Description: c.Description(), Licenses: licences(c.Licence()),
	}
}

// imageComponent is an image by its complete reference. The digest, where it is
// known, is that of the image for one architecture.
func imageComponent(written, digest, architecture string) (cdx.Component, error) {
	named, err := reference.ParseDockerRef(written)
	if err != nil {
		return cdx.Component{}, err
	}
	tag := ""
	if tagged, is := named.(reference.Tagged); is {
		tag = tagged.Tag()
	}
	if digested, is := named.(reference.Digested); is {
		digest = digested.Digest().String()
	}
	ref := purl("oci", "", path.Base(named.Name()), digest, map[string]string{
		"repository_url": named.Name(), "tag": tag, "arch": architecture,
	})
	component := cdx.Component{BOMRef: ref, PackageURL: ref, Type: cdx.ComponentTypeContainer, Name: named.Name(), Version: tag}
	if sum, is := strings.CutPrefix(digest, "sha256:"); is {
		component.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: sum}}
	}
	return component, nil
}
