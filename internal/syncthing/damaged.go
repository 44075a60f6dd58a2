package syncthing

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash/adler32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tmorin/homecloud/internal/config"
)

// suspectBefore is how long before the last moment of which the disk knows a
// file may have been written and still not be stored whole. Linux writes back
// after 30 s, file systems commit after up to 30 s more, and a slow disk has a
// queue.
const suspectBefore = 5 * time.Minute

// damaged returns the files whose content isn't what the index says although
// size and time are: a file that was given its size first, as Windows does,
// and whose content was never stored reads as zeros.
func (p *pass) damaged(ctx context.Context, share string, memory shareState) ([]string, error) {
	if memory.Stored.IsZero() {
		return nil, nil // all of it is indexed anew
	}
	id := p.settings.Folders[share].ID
	var damaged []string
	err := p.within(func(top string) error {
		root := filepath.Join(top, config.SharesDirectory, share)
		suspects, err := lastWritten(root, memory.Stored.Add(-suspectBefore), memory.Since)
		if err != nil {
			return err
		}
		for _, name := range suspects {
			known, err := p.client.entries(ctx, id, name)
			if err != nil {
				return err
			}
			if !known.Global.exists() {
				// The others may have all of it and not have said so yet, or the index may have
				// known more of it; and nobody misses an empty file.
				empty, err := isZeros(filepath.Join(root, name))
				switch {
				case empty, errors.Is(err, unix.EIO):
					damaged = append(damaged, name)
				case err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission):
					return err // the rest Syncthing can't read either
				}
				continue
			}
			if !known.Local.exists() || known.Local.Type != fileType {
				continue
			}
			good, err := holds(filepath.Join(root, name), known.Local)
			if err != nil {
				return err
			}
			if !good {
				p.Log.Warn("a file was damaged when the disk was torn away: it is fetched from the others", "share", share, "file", name)
				damaged = append(damaged, name)
			}
		}
		return nil
	})
	return damaged, err
}

// lastWritten lists the files, relative to root, that were written from a
// moment on and not since another.
func lastWritten(root string, from, since time.Time) (names []string, err error) {
	err = filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // somebody has just removed it
		}
		if errors.Is(err, fs.ErrPermission) {
			return filepath.SkipDir // Syncthing can't look into it either
		}
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if e.IsDir() {
			if name == markerFolder || name == versionsFolder {
				return filepath.SkipDir
			}
			return nil
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if info.Mode().IsRegular() && writtenSince(info, from) && !writtenSince(info, since) {
			names = append(names, name)
		}
		return nil
	})
	return names, err
}

// holds says whether a file that looks as the index says holds what the index
// says. One that looks otherwise is for Syncthing to see.
func holds(path string, want entry) (bool, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ELOOP) || errors.Is(err, fs.ErrPermission) {
		return true, nil // Syncthing couldn't read it either
	}
	if err != nil {
		return false, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return false, err
	}
	if info.Size() != want.Size || !info.ModTime().Equal(want.Modified) || want.Size == 0 {
		return true, nil
	}
	hash, err := blocksHash(file, blockSize(want))
	if errors.Is(err, unix.EIO) {
		return false, nil // a file system with checksums knows it, too
	}
	return bytes.Equal(hash, want.BlocksHash), err
}

// blockSize is the power of two, from 128 KiB, that gives an entry its number
// of blocks.
func blockSize(e entry) int64 {
	size := int64(128 << 10)
	for (e.Size+size-1)/size > e.NumBlocks && size < e.Size {
		size *= 2
	}
	return size
}

// blocksHash is what Syncthing calls so: the SHA-256 over each block's SHA-256
// and Adler-32 (protocol.BlocksHash in its source).
func blocksHash(content io.Reader, blockSize int64) ([]byte, error) {
	all := sha256.New()
	strong, weak := sha256.New(), adler32.New()
	buffer := make([]byte, 128<<10)
	for {
		strong.Reset()
		weak.Reset()
		n, err := io.CopyBuffer(io.MultiWriter(strong, weak), struct{ io.Reader }{io.LimitReader(content, blockSize)}, buffer)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return all.Sum(nil), nil
		}
		all.Write(strong.Sum(nil))
		_ = binary.Write(all, binary.BigEndian, weak.Sum32())
	}
}

// isZeros says whether a file holds nothing but zeros, or nothing at all. What is
// no file, such as a link, holds something.
func isZeros(path string) (bool, error) {
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() {
		return false, err
	}
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return false, err
	}
	defer file.Close()
	buffer := make([]byte, 128<<10)
	for {
		n, err := file.Read(buffer)
		if strings.Trim(string(buffer[:n]), "\x00") != "" {
			return false, nil
		}
		if errors.Is(err, io.EOF) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
	}
}
