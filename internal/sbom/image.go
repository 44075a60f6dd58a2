package sbom

import (
	"archive/tar"
	"bufio"
	"bytes"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"net/textproto"
	"path"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/tmorin/homecloud/internal/imageset"
)

// OfImage describes an image for one architecture: its Debian packages, as its
// dpkg knows them, and the Go programs in it. reference and digest are what the
// image is called where it is published.
func OfImage(reference, digest string, image v1.Image) ([]byte, error) {
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	subject, err := imageComponent(reference, digest, config.Architecture)
	if err != nil {
		return nil, err
	}
	var set imageset.Set
	if err := set.Add(reference, imageset.Component{}); err != nil {
		return nil, err
	}
	known := set.Images(nil)[0]
	subject.Licenses = licences(known.Licence)
	subject.Properties = properties("architecture", config.Architecture)

	b := newBill(subject)
	files := mutate.Extract(image)
	defer files.Close()
	if err := b.addFiles(files); err != nil {
		return nil, fmt.Errorf("image %s: %w", reference, err)
	}
	return b.encode()
}

func (b *bill) addFiles(files io.Reader) error {
	var packages []textproto.MIMEHeader
	distribution := map[string]string{}
	archive := tar.NewReader(files)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		name := path.Clean("/" + header.Name)
		switch folder := path.Dir(name); {
		case header.Typeflag != tar.TypeReg:
		case name == "/var/lib/dpkg/status" || folder == "/var/lib/dpkg/status.d" && path.Ext(name) == "":
			found, err := paragraphs(archive)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			packages = append(packages, found...)
		case name == "/usr/lib/os-release":
			if distribution, err = assignments(archive); err != nil {
				return err
			}
		case header.FileInfo().Mode()&0o111 != 0:
			if err := b.addProgram(name, archive); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	for _, p := range packages {
		if strings.HasSuffix(p.Get("Status"), " not-installed") || strings.HasSuffix(p.Get("Status"), " config-files") {
			continue
		}
		b.addPackage(p, distribution)
	}
	return nil
}

// paragraphs reads records of Debian's form, which mail has too.
func paragraphs(in io.Reader) (found []textproto.MIMEHeader, err error) {
	reader := textproto.NewReader(bufio.NewReader(in))
	for {
		paragraph, err := reader.ReadMIMEHeader()
		if len(paragraph) > 0 {
			found = append(found, paragraph)
		}
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func assignments(in io.Reader) (map[string]string, error) {
	found := map[string]string{}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		if key, value, is := strings.Cut(lines.Text(), "="); is {
			found[key] = strings.Trim(value, `"`)
		}
	}
	return found, lines.Err()
}

func (b *bill) addPackage(p textproto.MIMEHeader, distribution map[string]string) {
	name, version := p.Get("Package"), p.Get("Version")
	vendor := distribution["ID"]
	qualifiers := map[string]string{"arch": p.Get("Architecture")}
	if vendor == "" {
		vendor = "debian"
	} else {
		qualifiers["distro"] = vendor + "-" + distribution["VERSION_ID"]
	}
	// Debian tells faults by the source package: "glibc", or "gcc-12 (12.2.0-14)".
	if source, _, _ := strings.Cut(p.Get("Source"), " "); source != name {
		qualifiers["upstream"] = source
	}
	ref := purl("deb", vendor, name, version, qualifiers)
	b.add(b.subject.BOMRef, cdx.Component{BOMRef: ref, PackageURL: ref, Type: cdx.ComponentTypeLibrary, Name: name, Version: version})
}

// addProgram looks whether a file is a Go program and notes what it is made of.
func (b *bill) addProgram(name string, in io.Reader) error {
	begin := make([]byte, 4)
	if _, err := io.ReadFull(in, begin); err != nil || string(begin) != "\x7fELF" {
		return nil //nolint:nilerr // a file of less than four bytes is no program
	}
	rest, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	info, err := buildinfo.Read(bytes.NewReader(append(begin, rest...)))
	if err != nil {
		return nil //nolint:nilerr // a program that Go's linker didn't make: a package's
	}
	component := program(info, info.Main.Version)
	component.BOMRef, component.Name = name, name
	b.add(b.subject.BOMRef, component)
	b.addModules(name, info)
	return nil
}
