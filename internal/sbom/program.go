package sbom

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/base64"
	"fmt"
	"os"
	"path"
	"runtime/debug"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// OfProgram describes a Go program by what its linker wrote into it. version is
// that of the program, which the linker doesn't know.
func OfProgram(file, version string) ([]byte, error) {
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; is it a Go program?", file, err)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(content)
	return ofProgram(info, version, sum[:])
}

func ofProgram(info *debug.BuildInfo, version string, sum []byte) ([]byte, error) {
	subject := program(info, version)
	subject.Hashes = sha256Of(sum)
	b := newBill(subject)
	b.addModules(subject.BOMRef, info)
	return b.encode()
}

func program(info *debug.BuildInfo, version string) cdx.Component {
	if version == "(devel)" { // the linker's word for not known
		version = ""
	}
	ref := modulePURL(info.Main.Path, version)
	if _, below, found := strings.Cut(info.Path, info.Main.Path+"/"); found {
		ref += "#" + below
	}
	settings := map[string]string{}
	for _, setting := range info.Settings {
		settings[setting.Key] = setting.Value
	}
	return cdx.Component{
		BOMRef: ref, PackageURL: ref, Type: cdx.ComponentTypeApplication, Name: path.Base(info.Path), Version: version,
		Properties: properties("platform", settings["GOOS"]+"/"+settings["GOARCH"]),
	}
}

// addModules notes what a program is linked from. How the modules need each
// other isn't in it: the program needs them all.
func (b *bill) addModules(by string, info *debug.BuildInfo) {
	compiler := strings.TrimPrefix(info.GoVersion, "go")
	standard := purl("golang", "", "stdlib", compiler, nil)
	b.add(by, cdx.Component{BOMRef: standard, PackageURL: standard, Type: cdx.ComponentTypeLibrary, Name: "stdlib", Version: compiler})
	for _, module := range info.Deps {
		if module.Replace != nil {
			module = module.Replace
		}
		ref := modulePURL(module.Path, module.Version)
		component := cdx.Component{BOMRef: ref, PackageURL: ref, Type: cdx.ComponentTypeLibrary, Name: module.Path, Version: module.Version}
		// go.sum's form of a SHA-256.
		if sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(module.Sum, "h1:")); err == nil && len(sum) == sha256.Size {
			component.Hashes = sha256Of(sum)
		}
		b.add(by, component)
	}
}

func modulePURL(module, version string) string {
	namespace, name := path.Split(module)
	return purl("golang", strings.TrimSuffix(namespace, "/"), name, version, nil)
}
