package imageset

import (
	_ "embed" // the facts
	"slices"
	"strings"
	"sync"

	"github.com/distribution/reference"
	"sigs.k8s.io/yaml"
)

// ours is written from images/images.yaml by `go run ./images generate`.
//
//go:embed ours.yaml
var ours []byte

type facts struct {
	// Repositories are the image's names, without a tag: the published one, and
	// the one of the archives that are made here.
	Repositories  []string `json:"repositories"`
	Licence       string   `json:"licence"`
	Architectures []string `json:"architectures"`
}

var readOurs = sync.OnceValue(func() []facts {
	var list []facts
	if err := yaml.UnmarshalStrict(ours, &list); err != nil {
		panic("ours.yaml, which is generated: " + err.Error()) // a test reads it
	}
	return list
})

// factsOf finds what is built in about an image: one of homecloud's, in
// whichever registry a copy of it lies.
func factsOf(image string) (facts, bool) {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return facts{}, false
	}
	list := readOurs()
	i := slices.IndexFunc(list, func(f facts) bool {
		return slices.ContainsFunc(f.Repositories, func(repository string) bool {
			_, path, _ := strings.Cut(repository, "/")
			return named.Name() == repository || strings.HasSuffix(named.Name(), "/"+path)
		})
	})
	if i < 0 {
		return facts{}, false
	}
	return list[i], true
}
