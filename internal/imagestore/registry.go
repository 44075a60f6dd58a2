package imagestore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// registries is the source that a reference names itself.
type registries struct {
	cache     *Cache
	insecure  bool // plain HTTP is fine, for any registry
	transport http.RoundTripper
	stalled   time.Duration // how long a registry may send nothing in the middle of a blob

	mutex   sync.Mutex
	clients map[string]*http.Client // by repository
}

func newRegistries(cache *Cache, insecure bool) *registries {
	r := &registries{cache: cache, insecure: insecure, stalled: time.Minute, clients: map[string]*http.Client{}, transport: remote.DefaultTransport}
	if usual, is := remote.DefaultTransport.(*http.Transport); is {
		patient := usual.Clone()
		patient.ResponseHeaderTimeout = 2 * time.Minute // also what a registry needs to look at a large layer
		r.transport = patient
	}
	return r
}

// parse reads a reference. A registry on this machine is asked without TLS.
func (r *registries) parse(reference string) (name.Reference, error) {
	options := []name.Option{name.StrictValidation}
	if r.insecure {
		options = append(options, name.Insecure)
	}
	return name.ParseReference(reference, options...)
}

// options of every request. Whoever is asked for a password finds it in
// docker's configuration.
func (r *registries) options(ctx context.Context) []remote.Option {
	return []remote.Option{
		remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain), remote.WithUserAgent("hcchart"), remote.WithTransport(r.transport),
	}
}

func (r *registries) find(ctx context.Context, reference string, locked v1.Hash) (*Content, error) {
	named, err := r.parse(reference)
	if err != nil {
		return nil, err
	}
	if locked != (v1.Hash{}) {
		named = named.Context().Digest(locked.String())
	}
	var text []byte
	if digest, is := named.(name.Digest); is { // what is named by its content may be here
		if hash, err := v1.NewHash(digest.DigestStr()); err == nil {
			text, _ = r.cache.read(hash)
		}
	}
	if text == nil {
		got, err := remote.Get(named, r.options(ctx)...)
		if err != nil {
			return nil, registryError(reference, named.Context().Registry, locked, err)
		}
		if text = got.Manifest; hashOf(text) != got.Digest {
			return nil, fmt.Errorf("%s: %w", reference, &damagedError{want: got.Digest, got: hashOf(text)})
		}
	}
	return r.content(ctx, reference, text)
}

// content reads a manifest or an index and keeps it.
func (r *registries) content(ctx context.Context, reference string, text []byte) (*Content, error) {
	digest, err := r.cache.put(text)
	if err != nil {
		return nil, err
	}
	c := &Content{Reference: reference, source: r, Root: v1.Descriptor{MediaType: mediaTypeOf(text), Size: int64(len(text)), Digest: digest}}
	if c.Root.MediaType.IsIndex() {
		if c.platforms, err = platformsOf(text); err != nil {
			return nil, fmt.Errorf("%s: %w", reference, err)
		}
		return c, nil
	}
	manifest, err := v1.ParseManifest(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", reference, err)
	}
	if manifest.Config.Digest.Hex == "" {
		return nil, fmt.Errorf("%s: is in a form of before 2017, or no image", reference)
	}
	config, err := r.small(ctx, reference, manifest.Config)
	if err != nil {
		return nil, err
	}
	parsed, err := v1.ParseConfigFile(bytes.NewReader(config))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", reference, err)
	}
	c.platforms = []platform{{parsed.OS, parsed.Architecture, parsed.Variant, c.Root}}
	return c, nil
}

// mediaTypeOf reads what a manifest says it is. OCI's needn't: then an index is
// what has manifests.
func mediaTypeOf(manifest []byte) types.MediaType {
	parsed, err := v1.ParseIndexManifest(bytes.NewReader(manifest))
	switch {
	case err == nil && parsed.MediaType != "":
		return parsed.MediaType
	case err == nil && parsed.Manifests != nil:
		return types.OCIImageIndex
	}
	return types.OCIManifestSchema1
}

func (r *registries) manifest(ctx context.Context, reference string, digest v1.Hash) ([]byte, error) {
	if text, ok := r.cache.read(digest); ok {
		return text, nil
	}
	named, err := r.parse(reference)
	if err != nil {
		return nil, err
	}
	got, err := remote.Get(named.Context().Digest(digest.String()), r.options(ctx)...)
	if err != nil {
		return nil, registryError(reference, named.Context().Registry, digest, err)
	}
	_, err = r.cache.put(got.Manifest)
	return got.Manifest, err
}

// small fetches a blob that is read here, such as an image's configuration.
func (r *registries) small(ctx context.Context, reference string, blob v1.Descriptor) ([]byte, error) {
	const limit = 8 << 20
	if blob.Size > limit {
		return nil, fmt.Errorf("%s: its configuration has %d bytes; it is no image", reference, blob.Size)
	}
	open := func(ctx context.Context, offset int64) (io.ReadCloser, int64, error) {
		return r.open(ctx, reference, blob, offset)
	}
	if err := r.cache.fetch(ctx, blob, open, func(int64) {}); err != nil {
		return nil, fmt.Errorf("%s: %w", reference, err)
	}
	text, ok := r.cache.read(blob.Digest)
	if !ok {
		return nil, fmt.Errorf("%s: %s was damaged after it arrived", reference, blob.Digest)
	}
	return text, nil
}

func (r *registries) open(ctx context.Context, reference string, blob v1.Descriptor, offset int64) (io.ReadCloser, int64, error) {
	named, err := r.parse(reference)
	if err != nil {
		return nil, 0, err
	}
	repository := named.Context()
	client, err := r.client(ctx, repository)
	if err != nil {
		return nil, 0, registryError(reference, repository.Registry, blob.Digest, err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	place := url.URL{Scheme: repository.Scheme(), Host: repository.RegistryStr(), Path: fmt.Sprintf("/v2/%s/blobs/%s", repository.RepositoryStr(), blob.Digest)}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, place.String(), nil)
	if err != nil {
		cancel(nil)
		return nil, 0, err
	}
	if offset > 0 {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", offset, blob.Size-1))
	}
	response, err := client.Do(request)
	if err == nil {
		if err = transport.CheckError(response, http.StatusOK, http.StatusPartialContent); err != nil {
			_ = response.Body.Close()
		}
	}
	if err != nil {
		cancel(nil)
		return nil, 0, registryError(reference, repository.Registry, blob.Digest, err)
	}
	silence := time.AfterFunc(r.stalled, func() { cancel(fmt.Errorf("%s sent nothing for %s", repository.RegistryStr(), r.stalled)) })
	start := int64(0)
	if response.StatusCode == http.StatusPartialContent {
		start = offset
	}
	return &body{ReadCloser: response.Body, ctx: ctx, cancel: cancel, silence: silence, patience: r.stalled}, start, nil
}

// body gives up when the other side falls silent.
type body struct {
	io.ReadCloser
	ctx     context.Context
	cancel  context.CancelCauseFunc
	silence *time.Timer

	patience time.Duration
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.silence.Reset(b.patience)
	if err != nil && !errors.Is(err, io.EOF) && b.ctx.Err() != nil {
		err = context.Cause(b.ctx)
	}
	return n, err
}

func (b *body) Close() error {
	b.silence.Stop()
	defer b.cancel(nil)
	return b.ReadCloser.Close()
}

// client is logged in to a repository, once.
func (r *registries) client(ctx context.Context, repository name.Repository) (*http.Client, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if client := r.clients[repository.Name()]; client != nil {
		return client, nil
	}
	auth, err := authn.Resolve(ctx, authn.DefaultKeychain, repository)
	if err != nil {
		return nil, err
	}
	loggedIn, err := transport.NewWithContext(ctx, repository.Registry, auth, r.transport, []string{repository.Scope(transport.PullScope)})
	if err != nil {
		return nil, err
	}
	client := &http.Client{Transport: loggedIn}
	r.clients[repository.Name()] = client
	return client, nil
}

// refusedError is an answer that asking again doesn't change.
type refusedError struct{ error }

func (e refusedError) Unwrap() error { return e.error }

// registryError says which image of which registry it was about, and what a
// person can do.
func registryError(reference string, registry name.Registry, asked v1.Hash, err error) error {
	host := strings.Replace(registry.RegistryStr(), "index.docker.io", "docker.io", 1)
	var answer *transport.Error
	if !errors.As(err, &answer) {
		if errors.Is(err, context.Canceled) {
			return err
		}
		return fmt.Errorf("%s: %s can't be reached: %w; run the same command again, it goes on where it stopped, or take the image from an archive with --from", reference, host, err)
	}
	switch answer.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return refusedError{fmt.Errorf("%s: %s refuses it (%d): there is no such image, or it needs an account; `docker login %[2]s` keeps one where hcchart finds it", reference, host, answer.StatusCode)}
	case http.StatusNotFound:
		if asked != (v1.Hash{}) {
			return refusedError{fmt.Errorf("%s: %s has no %s of it any more; `hcchart images lock` writes down what it is now, --from takes it from an archive", reference, host, asked)}
		}
		return refusedError{fmt.Errorf("%s: %s has no such image; correct its name or its tag", reference, host)}
	case http.StatusTooManyRequests:
		return fmt.Errorf("%s: %s wants fewer requests; log in with `docker login %[2]s`, or go on later with the same command", reference, host)
	}
	return fmt.Errorf("%s: %s answers %w; run the same command again, it goes on where it stopped", reference, host, err)
}
