package main

import (
	"archive/tar"
	"bytes"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/tmorin/homecloud/internal/imageset"
	"github.com/tmorin/homecloud/internal/remote/remotetest"
	"github.com/tmorin/homecloud/internal/values"
)

// setUpImages gives a script a registry and a board.
func setUpImages(t *testing.T, env *testscript.Env) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	env.Defer(server.Close)
	env.Setenv("REGISTRY", strings.TrimPrefix(server.URL, "http://"))
	board := remotetest.Serve(t, env.WorkDir)
	board.K3s(t)
	board.Program(t, "uname", "echo aarch64")
	env.Setenv("BOARD", board.Root)
	env.Setenv("PORT", strconv.Itoa(board.Port))
	env.Setenv("SSH_AUTH_SOCK", "")
}

// push puts an image into a registry, the same for the same arguments.
func push(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: push REFERENCE ARCHITECTURE...")
	}
	reference, err := name.ParseReference(args[0])
	ts.Check(err)
	path, _, _ := strings.Cut(reference.Context().RepositoryStr()+":"+reference.Identifier(), "@")
	index := mutate.IndexMediaType(v1.ImageIndex(empty.Index), types.OCIImageIndex)
	for _, architecture := range args[1:] {
		var layer bytes.Buffer
		files := tar.NewWriter(&layer)
		content := strings.Repeat(path+" for "+architecture+"\n", 100)
		ts.Check(files.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "content", Mode: 0o644, Size: int64(len(content))}))
		_, err := files.Write([]byte(content))
		ts.Check(err)
		ts.Check(files.Close())
		image, err := mutate.AppendLayers(empty.Image, static.NewLayer(layer.Bytes(), types.OCIUncompressedLayer))
		ts.Check(err)
		config, err := image.ConfigFile()
		ts.Check(err)
		config = config.DeepCopy()
		config.OS, config.Architecture = "linux", architecture
		config.Config.Labels = map[string]string{"org.opencontainers.image.licenses": "BSD-3-Clause"}
		image, err = mutate.ConfigFile(image, config)
		ts.Check(err)
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: architecture}}})
	}
	ts.Check(remote.WriteIndex(reference, index))
}

// publish puts the images of homecloud into the registry, and writes values that
// take them from there.
func publish(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: publish VALUES ARCHITECTURE...")
	}
	var list struct {
		Images map[string]struct {
			Production struct{ Repository, Tag string }
			Values     []string
		}
	}
	content, err := os.ReadFile("../../images/images.yaml")
	ts.Check(err)
	ts.Check(yaml.Unmarshal(content, &list))
	all := map[string]any{}
	for _, image := range list.Images {
		published := imageset.Mirrored(image.Production.Repository, ts.Getenv("REGISTRY"))
		push(ts, false, append([]string{published + ":" + image.Production.Tag}, args[1:]...))
		for _, place := range image.Values {
			value := map[string]any{"repository": published}
			for _, key := range slices.Backward(strings.Split(place, ".")) {
				value = map[string]any{key: value}
			}
			all = values.Merge(all, value)
		}
	}
	text, err := yaml.Marshal(all)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), text, 0o600))
}

// page writes what a page of the documentation says is executed by this script as
// one of a shell, where the words of the page are those of the test:
// page PAGE SCRIPT WORD=WORD...
func page(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: page PAGE SCRIPT WORD=WORD...")
	}
	text, err := os.ReadFile(filepath.Join("../../docs", args[0]))
	ts.Check(err)
	executed := strings.TrimPrefix(filepath.Base(ts.Getenv("WORK")), "script-")
	blocks := regexp.MustCompile("(?s)<!-- executed by cmd/hcchart: "+executed+" -->\n```+(sh)?\n(.*?)\n```").FindAllStringSubmatch(string(text), -1)
	if blocks == nil {
		ts.Fatalf("%s: nothing in there is executed", args[0])
	}
	script := ""
	for _, block := range blocks {
		for line := range strings.Lines(block[2] + "\n") {
			typed, prompted := strings.CutPrefix(line, "$ ")
			if prompted || block[1] == "sh" { // else it is what was answered
				script += typed
			}
		}
	}
	for _, pair := range args[2:] {
		from, to, _ := strings.Cut(pair, "=")
		if !strings.Contains(script, from) {
			ts.Fatalf("%s: doesn't say %s", args[0], from)
		}
		script = strings.ReplaceAll(script, from, to)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(script), 0o600))
}

// Where a mirror is asked for is a name, not an address of the web.
func TestMirrorIsNamedAsAnImageIs(t *testing.T) {
	for _, good := range []string{"registry.home:5000", "registry.home/cache", "localhost/x", "192.168.1.5:5000", "registry.home/cache/"} {
		require.NoError(t, checkMirror(good), good)
	}
	for _, bad := range []string{"", "https://registry.home", "registry.home/x:1", "registry home", "home", "Registry/x@sha256:1"} {
		require.ErrorAs(t, checkMirror(bad), new(usageError), bad)
	}
}
