package sbom

import (
	"archive/tar"
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/stretchr/testify/require"

	"github.com/tmorin/homecloud/charts"
	"github.com/tmorin/homecloud/internal/chart"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestProgramIsItsModules(t *testing.T) {
	text, err := ofProgram(&debug.BuildInfo{
		GoVersion: "go1.26.8",
		Path:      "github.com/tmorin/homecloud/cmd/hcchart",
		Main:      debug.Module{Path: "github.com/tmorin/homecloud", Version: "(devel)"},
		Deps: []*debug.Module{
			{Path: "sigs.k8s.io/yaml", Version: "v1.6.0", Sum: "h1:G8fkbMSAFqgEFgh4b1wmtzDnioxFCUgTZhlbj5P9QYs="},
			{Path: "github.com/old/name", Version: "v1.0.0", Replace: &debug.Module{Path: "github.com/New/name", Version: "v1.0.1+incompatible"}},
		},
		Settings: []debug.BuildSetting{{Key: "GOOS", Value: "windows"}, {Key: "GOARCH", Value: "amd64"}},
	}, "v0.2.0", bytes.Repeat([]byte{0xab}, 32))
	golden(t, "program", text, err)
}

func TestProgramThatGoDidNotMakeIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "text")
	require.NoError(t, os.WriteFile(path, []byte("no program"), 0o600))
	_, err := OfProgram(path, "v1")
	require.ErrorContains(t, err, path+": ")
	require.ErrorContains(t, err, "is it a Go program?")
}

func TestChartIsItsChartsAndTheImagesOfItsDefaults(t *testing.T) {
	web, err := chart.Load("testdata/charts/web")
	require.NoError(t, err)
	archive, err := web.Package()
	require.NoError(t, err)
	text, err := OfChart(archive)
	golden(t, "chart", text, err)
}

func TestChartThatRendersNothingByItselfNamesItsImages(t *testing.T) {
	dnas, err := chart.Embedded(charts.FS).Load("dnas")
	require.NoError(t, err)
	archive, err := dnas.Package()
	require.NoError(t, err)
	text, err := OfChart(archive)
	require.NoError(t, err)
	bom := decode(t, text)
	var names []string
	for _, component := range *bom.Components {
		names = append(names, component.Name)
		if component.Name == "ghcr.io/tmorin/homecloud/nas" {
			require.Equal(t, "GPL-3.0-or-later AND LGPL-3.0-or-later AND MIT", (*component.Licenses)[0].Expression)
			require.Len(t, *component.Properties, 2, "its architectures")
		}
	}
	require.ElementsMatch(t, []string{"common", "docker.io/syncthing/syncthing", "ghcr.io/tmorin/homecloud/agent", "ghcr.io/tmorin/homecloud/nas"}, names)
}

func TestImageIsItsPackages(t *testing.T) {
	image := imageOf(t, map[string]string{
		"usr/lib/os-release": "NAME=\"Debian GNU/Linux\"\nID=debian\nVERSION_ID=\"12\"\n",
		"var/lib/dpkg/status.d/libc6": "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nSource: glibc\nVersion: 2.36-9+deb12u14\n" +
			"Conffiles:\n /etc/ld.so.conf.d/x86_64-linux-gnu.conf d4e7a7b88a71b5ffd9e2644e71a0cfab\nDescription: GNU C Library\n Contains the standard libraries.\n",
		"var/lib/dpkg/status.d/samba":         "Package: samba\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2:4.17.12+dfsg-0+deb12u2\n",
		"var/lib/dpkg/status.d/samba.md5sums": "00000000000000000000000000000000  usr/sbin/smbd\n",
		"usr/sbin/smbd":                       "\x7fELF, but not by Go",
		"usr/bin/short":                       "x",
	})
	text, err := OfImage("ghcr.io/tmorin/homecloud/nas:0.1.0", "sha256:"+strings.Repeat("1", 64), image)
	golden(t, "image", text, err)
}

func TestSystemThatDpkgInstalledIsItsPackages(t *testing.T) {
	image := imageOf(t, map[string]string{
		"var/lib/dpkg/status": "Package: a\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n\nPackage: gone\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 2\n",
	})
	text, err := OfImage("ghcr.io/example/whole:1", "", image)
	require.NoError(t, err)
	components := *decode(t, text).Components
	require.Len(t, components, 1)
	require.Equal(t, "pkg:deb/debian/a@1?arch=all", components[0].PackageURL)
}

func TestGoProgramIsFoundInAnImage(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	program, err := os.ReadFile(self)
	require.NoError(t, err)
	text, err := OfImage("ghcr.io/example/agent:1", "", imageOf(t, map[string]string{"agent": string(program)}))
	require.NoError(t, err)
	components := *decode(t, text).Components
	require.Len(t, components, 2) // a test's program doesn't know the modules of others
	require.Equal(t, "/agent", components[0].Name)
	require.Equal(t, "pkg:golang/github.com/tmorin/homecloud#internal/sbom.test", components[0].PackageURL)
	require.Equal(t, "stdlib", components[1].Name)
	require.Equal(t, strings.TrimPrefix(runtime.Version(), "go"), components[1].Version)
}

// imageOf makes an image whose files may all be executed.
func imageOf(t *testing.T, files map[string]string) v1.Image {
	t.Helper()
	var layer bytes.Buffer
	archive := tar.NewWriter(&layer)
	for name, content := range files {
		require.NoError(t, archive.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(content))}))
		_, err := archive.Write([]byte(content))
		require.NoError(t, err)
	}
	require.NoError(t, archive.Close())
	made, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer.Bytes())), nil })
	require.NoError(t, err)
	image, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: "linux", Architecture: "amd64"})
	require.NoError(t, err)
	image, err = mutate.AppendLayers(image, made)
	require.NoError(t, err)
	return image
}

func decode(t *testing.T, text []byte) *cdx.BOM {
	t.Helper()
	var bom cdx.BOM
	require.NoError(t, cdx.NewBOMDecoder(bytes.NewReader(text), cdx.BOMFileFormatJSON).Decode(&bom))
	require.Equal(t, cdx.SpecVersion1_6, bom.SpecVersion)
	require.Regexp(t, `^urn:uuid:[0-9a-f-]{36}$`, bom.SerialNumber)
	refs := map[string]bool{bom.Metadata.Component.BOMRef: true}
	for _, component := range *bom.Components {
		require.False(t, refs[component.BOMRef], "%s twice", component.BOMRef)
		refs[component.BOMRef] = true
	}
	for _, dependency := range *bom.Dependencies {
		require.True(t, refs[dependency.Ref], dependency.Ref)
		for _, needed := range *dependency.Dependencies {
			require.True(t, refs[needed], needed)
		}
	}
	return &bom
}

// golden compares with a file; -update writes it.
func golden(t *testing.T, name string, text []byte, err error) {
	t.Helper()
	require.NoError(t, err)
	decode(t, text)
	path := filepath.Join("testdata", name+".golden.json")
	if *update {
		require.NoError(t, os.WriteFile(path, text, 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), string(text))
}
