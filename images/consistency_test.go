package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// The project's own list, Containerfiles and charts.

func TestChartsNameTheListedImages(t *testing.T) {
	require.NoError(t, generate(&bytes.Buffer{}, "..", readList(t, "images.yaml"), true))
}

func TestEveryImageOfTheChartsIsListed(t *testing.T) {
	var listed []string
	for _, image := range readList(t, "images.yaml").Images {
		listed = append(listed, image.Values...)
	}
	charts, err := filepath.Glob("../charts/*/values.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, charts)
	var used []string
	for _, path := range charts {
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		var values map[string]any
		require.NoError(t, yaml.Unmarshal(content, &values))
		used = append(used, imagePaths(filepath.Base(filepath.Dir(path)), values)...)
	}
	slices.Sort(listed)
	slices.Sort(used)
	require.Equal(t, listed, used)
}

// imagePaths finds every map called image that names a repository.
func imagePaths(at string, values map[string]any) []string {
	var found []string
	for key, value := range values {
		below, ok := value.(map[string]any)
		if !ok {
			continue
		}
		if _, ok := below["repository"]; ok && key == "image" {
			found = append(found, at+".image")
		}
		found = append(found, imagePaths(at+"."+key, below)...)
	}
	return found
}

func TestContainerfilesSayWhatTheListSays(t *testing.T) {
	list := readList(t, "images.yaml")
	for _, image := range list.Images {
		t.Run(image.Name, func(t *testing.T) {
			content, err := os.ReadFile(filepath.Join(image.Name, "Containerfile"))
			require.NoError(t, err)
			text := string(content)
			require.Contains(t, text, "ARG VERSION="+image.Production.Tag+"\n")
			require.Contains(t, text, `org.opencontainers.image.licenses="`+image.Licence+`"`)
			for _, label := range []string{"title", "source", `version="${VERSION}"`} {
				require.Contains(t, text, "org.opencontainers.image."+label)
			}
			if image.Binary == nil {
				require.Contains(t, text, "ARG BASE="+list.Base.Production.String()+"\n")
			} else {
				require.Contains(t, text, "COPY --chmod=0755 ${TARGETARCH}/"+image.Binary.Name+" ")
			}
		})
	}
}

func TestStandInsAreTheVersionThatProductionRuns(t *testing.T) {
	for _, image := range readList(t, "images.yaml").Images {
		if image.Lab != "stand-in" {
			continue
		}
		content, err := os.ReadFile(filepath.Join("..", image.Binary.Module, "go.mod"))
		require.NoError(t, err)
		module := strings.Join(strings.Split(image.Binary.Package, "/")[:3], "/")
		found := regexp.MustCompile(regexp.QuoteMeta(module) + ` v(\S+)`).FindStringSubmatch(string(content))
		require.NotNil(t, found, "%s isn't required", module)
		require.Equal(t, image.Production.Tag, found[1])
	}
}
