// Package chartregistry puts charts into OCI registries as Helm does, so that
// Helm, Argo CD and Flux find them there. A version that is there stays as it
// is: whoever has installed it relies on it.
package chartregistry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	helmchart "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/registry"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"
	"oras.land/oras-go/v2/registry/remote/retry"
)

// packagedAt is the time of every archive that hcchart packages: the same chart
// has the same manifest, too.
const packagedAt = "2000-01-01T00:00:00Z"

// Registry is a place below which charts lie: HOST, HOST:PORT or HOST/PREFIX.
type Registry struct {
	prefix string
	host   string
	client *registry.Client
}

// Package is a chart's archive, and its signature in Helm's form, if it has one.
type Package struct {
	Name, Version string
	archive       []byte
	provenance    []byte // nil: not signed
	charts        int    // inside, itself included
}

// Read reads an archive; provenance is nil when it isn't signed.
func Read(archive, provenance []byte) (Package, error) {
	loaded, err := loader.LoadArchive(bytes.NewReader(archive))
	if err != nil {
		return Package{}, fmt.Errorf("is no chart's archive: %w", err)
	}
	if provenance != nil && !bytes.Contains(provenance, []byte(digest(archive))) {
		return Package{}, errors.New("its signature is that of another archive; sign it anew: hcchart package --sign")
	}
	return Package{loaded.Name(), loaded.Metadata.Version, archive, provenance, count(loaded)}, nil
}

func count(c *helmchart.Chart) int {
	sum := 1
	for _, dependency := range c.Dependencies() {
		sum += count(dependency)
	}
	return sum
}

// SortLeafFirst puts each chart behind those that it holds, so that an
// interruption leaves none whose parts aren't there.
func SortLeafFirst(packages []Package) {
	slices.SortStableFunc(packages, func(a, b Package) int { return a.charts - b.charts })
}

// Open asks whether the registry is there. One on this machine, or on the home's
// network, may answer without TLS; any other only when insecure is true. Accounts
// are those of helm registry login and docker login. Requests end with ctx.
func Open(ctx context.Context, prefix string, insecure bool) (*Registry, error) {
	var options []name.Option
	if insecure {
		options = append(options, name.Insecure)
	}
	host, _, _ := strings.Cut(prefix, "/")
	place, err := name.NewRegistry(host, options...)
	if err != nil {
		return nil, err
	}
	usual, _ := http.DefaultTransport.(*http.Transport)
	patient := usual.Clone()
	patient.ResponseHeaderTimeout = 2 * time.Minute
	r := &Registry{prefix: prefix, host: host}
	answer, err := transport.Ping(ctx, place, patient)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, r.unreachable(err)
	}
	client := []registry.ClientOption{
		registry.ClientOptHTTPClient(&http.Client{Transport: bound{ctx, retry.NewTransport(patient)}}),
		registry.ClientOptEnableCache(true),
	}
	if answer.Insecure {
		client = append(client, registry.ClientOptPlainHTTP())
	}
	r.client, err = registry.NewClient(client...)
	return r, err
}

// bound ends requests with a context: Helm's client takes none.
type bound struct {
	ctx  context.Context
	next http.RoundTripper
}

func (b bound) RoundTrip(request *http.Request) (*http.Response, error) {
	return b.next.RoundTrip(request.WithContext(b.ctx))
}

// Reference is where a chart goes: PREFIX/NAME:VERSION.
func (r *Registry) Reference(p Package) string { return r.prefix + "/" + p.Name + ":" + p.Version }

// Has says whether the registry has this very package. Another one of the same
// version is an error.
func (r *Registry) Has(p Package) (bool, error) {
	reference := r.Reference(p)
	there, err := r.client.Pull(reference, registry.PullOptWithProv(p.provenance != nil), registry.PullOptIgnoreMissingProv(true))
	if errors.Is(err, errdef.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, r.refusal(reference, err)
	}
	if !bytes.Equal(there.Chart.Data, p.archive) {
		return false, fmt.Errorf("%s: another chart of this version is there (%s, and this one is %s); raise the version in Chart.yaml, whoever has installed it relies on what is there",
			reference, there.Chart.Digest, digest(p.archive))
	}
	return p.provenance == nil || bytes.Equal(there.Prov.Data, p.provenance), nil
}

// Push puts a package where the registry hasn't one of its version, and returns
// the digest of its manifest, by which it can be pinned.
func (r *Registry) Push(p Package) (digest string, err error) {
	reference := r.Reference(p)
	options := []registry.PushOption{registry.PushOptCreationTime(packagedAt)}
	if p.provenance != nil {
		options = append(options, registry.PushOptProvData(p.provenance))
	}
	pushed, err := r.client.Push(p.archive, reference, options...)
	if err != nil {
		return "", r.refusal(reference, err)
	}
	return pushed.Manifest.Digest, nil
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// refusal says which registry it was about, and what a person can do.
func (r *Registry) refusal(reference string, err error) error {
	var answer *errcode.ErrorResponse
	var failed *url.Error
	refused := errors.Is(err, auth.ErrBasicCredentialNotFound)
	if errors.As(err, &answer) {
		refused = answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden
	}
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case refused:
		return fmt.Errorf("%s: %s refuses it; log in with `docker login %[2]s` or `helm registry login %[2]s`, with an account that may write there", reference, r.host)
	case errors.As(err, &failed):
		return r.unreachable(err)
	}
	return fmt.Errorf("%s: %w", reference, err)
}

func (r *Registry) unreachable(err error) error {
	return fmt.Errorf("%s can't be reached: %w; a registry without TLS needs --insecure", r.host, err)
}
