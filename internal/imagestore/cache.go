// Package imagestore moves container images: out of registries and archives
// into a cache of blobs, and from there into archives that boards import or
// into another registry. What was fetched once is never fetched again, so that
// whatever is interrupted goes on where it stopped. It knows neither charts nor
// boards.
package imagestore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"runtime"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/tmorin/homecloud/internal/filelock"
)

// Cache keeps blobs (manifests, configurations, layers) by digest. A blob under
// its own name is whole; what is still arriving has another name.
type Cache struct{ dir string }

// DefaultCache is where the cache lies unless somebody says otherwise.
func DefaultCache() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(base, "homecloud", "blobs"), nil
}

// OpenCache makes the folder if it isn't there.
func OpenCache(dir string) (*Cache, error) {
	if err := os.MkdirAll(filepath.Join(dir, "sha256"), 0o755); err != nil {
		return nil, fmt.Errorf("the cache of images: %w", err)
	}
	return &Cache{dir}, nil
}

func (c *Cache) path(digest v1.Hash) string {
	return filepath.Join(c.dir, digest.Algorithm, digest.Hex)
}

func (c *Cache) has(blob v1.Descriptor) bool {
	info, err := os.Stat(c.path(blob.Digest))
	return err == nil && info.Size() == blob.Size
}

// read gives a small blob, such as a manifest, if it is there and undamaged.
func (c *Cache) read(digest v1.Hash) ([]byte, bool) {
	content, err := os.ReadFile(c.path(digest))
	if err != nil || hashOf(content) != digest {
		return nil, false
	}
	return content, true
}

// put keeps a small blob.
func (c *Cache) put(content []byte) (v1.Hash, error) {
	digest := hashOf(content)
	if _, ok := c.read(digest); ok {
		return digest, nil
	}
	digest, _, err := c.take(bytes.NewReader(content))
	return digest, err
}

// take keeps whatever a reader gives and says what it is.
func (c *Cache) take(r io.Reader) (v1.Hash, int64, error) {
	file, err := os.CreateTemp(filepath.Join(c.dir, "sha256"), "taken-")
	if err != nil {
		return v1.Hash{}, 0, err
	}
	defer func() { _ = os.Remove(file.Name()) }() // nothing is there any more when all went well
	sum := sha256.New()
	size, err := io.Copy(io.MultiWriter(file, sum), r)
	if err != nil {
		_ = file.Close()
		return v1.Hash{}, 0, err
	}
	digest := sumOf(sum)
	if c.has(v1.Descriptor{Digest: digest, Size: size}) {
		return digest, size, file.Close()
	}
	return digest, size, settle(file, c.path(digest))
}

// settle closes a file that is whole and gives it its name.
func settle(file *os.File, path string) error {
	if err := errors.Join(file.Chmod(0o644), file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return err
	}
	if runtime.GOOS == "windows" { // which can't flush a folder
		return nil
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// discard closes a file and removes it, in the order that Windows wants.
func discard(file *os.File) error { return errors.Join(file.Close(), os.Remove(file.Name())) }

// opener begins to read a blob at an offset, or at its beginning where the other
// side can't begin in the middle: start says which.
type opener func(ctx context.Context, offset int64) (body io.ReadCloser, start int64, err error)

// fetch completes a blob. What arrived before an interruption is kept and not
// asked for again. arrived is told how much more is there.
func (c *Cache) fetch(ctx context.Context, blob v1.Descriptor, open opener, arrived func(bytes int64)) error {
	if c.has(blob) {
		arrived(blob.Size)
		return nil
	}
	file, release, err := c.partial(ctx, blob.Digest)
	if err != nil {
		return err
	}
	defer release()
	defer file.Close()
	if c.has(blob) { // another process was faster
		arrived(blob.Size)
		return discard(file)
	}
	sum := sha256.New()
	offset, err := io.Copy(sum, io.LimitReader(file, blob.Size))
	if err != nil {
		return err
	}
	arrived(offset)
	if offset < blob.Size {
		body, start, err := open(ctx, offset)
		if err != nil {
			return err
		}
		defer body.Close()
		if start != offset { // the other side can't begin in the middle
			arrived(-offset)
			offset, sum = 0, sha256.New()
		}
		if err := file.Truncate(offset); err != nil {
			return err
		}
		if _, err := file.Seek(offset, io.SeekStart); err != nil {
			return err
		}
		got, err := io.Copy(io.MultiWriter(file, sum, tally(arrived)), &io.LimitedReader{R: body, N: blob.Size - offset})
		if err != nil {
			return err
		}
		if offset+got < blob.Size {
			return io.ErrUnexpectedEOF
		}
	} else if err := file.Truncate(blob.Size); err != nil {
		return err
	}
	if got := sumOf(sum); got != blob.Digest {
		arrived(-blob.Size)
		return errors.Join(&damagedError{want: blob.Digest, got: got}, discard(file))
	}
	return settle(file, c.path(blob.Digest))
}

// damagedError is content that isn't what its digest says.
type damagedError struct{ want, got v1.Hash }

func (e *damagedError) Error() string {
	return fmt.Sprintf("what arrived has the digest %s instead of %s", e.got, e.want)
}

// partial opens the unfinished blob, alone: another process that fetches the
// same one is waited for.
func (c *Cache) partial(ctx context.Context, digest v1.Hash) (file *os.File, release func(), err error) {
	path := c.path(digest) + ".partial"
	release, err = filelock.Acquire(ctx, path, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, nil, err
	}
	if file, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644); err != nil {
		release()
		return nil, nil, err
	}
	return file, release, nil
}

// copyTo writes a blob into w and looks whether it is still what its digest
// says. One that isn't is forgotten.
func (c *Cache) copyTo(ctx context.Context, w io.Writer, blob v1.Descriptor) error {
	file, err := os.Open(c.path(blob.Digest))
	if err != nil {
		return err
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(w, sum), &cancelled{ctx, io.LimitReader(file, blob.Size)}); err != nil {
		return err
	}
	if got := sumOf(sum); got != blob.Digest {
		return errors.Join(fmt.Errorf("%s: the disk gave back other content than it was given, it is forgotten now; run the same command again", file.Name()), discard(file))
	}
	return nil
}

// cancelled is a reader that ends with the context.
type cancelled struct {
	ctx context.Context
	in  io.Reader
}

func (c *cancelled) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.in.Read(p)
}

// tally is a writer that only counts.
type tally func(bytes int64)

func (t tally) Write(p []byte) (int, error) {
	t(int64(len(p)))
	return len(p), nil
}

func hashOf(content []byte) v1.Hash {
	sum := sha256.Sum256(content)
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}
}

func sumOf(sum hash.Hash) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum.Sum(nil))}
}
