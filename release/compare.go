package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

// differenceError is two builds of the same commit that aren't the same.
type differenceError struct {
	folders [2]string
	found   []string
}

func (e *differenceError) Error() string {
	return fmt.Sprintf("the two builds differ, %s and %s:\n  %s", e.folders[0], e.folders[1], strings.Join(e.found, "\n  "))
}

// compare compares every file of two folders and says how many there are.
func compare(a, b string) (int, error) {
	folders := [2]string{a, b}
	var names [2]map[string]bool
	var order []string
	for i, folder := range folders {
		entries, err := os.ReadDir(folder)
		if err != nil {
			return 0, err
		}
		names[i] = map[string]bool{}
		for _, entry := range entries {
			names[i][entry.Name()] = true
			if i == 0 || !names[0][entry.Name()] {
				order = append(order, entry.Name())
			}
		}
	}
	var found []string
	for _, name := range order {
		switch {
		case !names[1][name]:
			found = append(found, name+": only the first build has it")
		case !names[0][name]:
			found = append(found, name+": only the second build has it")
		default:
			difference, err := differenceOf(filepath.Join(a, name), filepath.Join(b, name))
			if err != nil {
				return 0, err
			}
			if difference != "" {
				found = append(found, name+": "+difference)
			}
		}
	}
	if len(found) > 0 {
		return 0, &differenceError{folders, found}
	}
	return len(order), nil
}

// differenceOf says where two files differ first; empty: nowhere.
func differenceOf(a, b string) (string, error) {
	first, err := os.Open(a)
	if err != nil {
		return "", err
	}
	defer first.Close()
	second, err := os.Open(b)
	if err != nil {
		return "", err
	}
	defer second.Close()
	at, err := differsAt(first, second)
	if err != nil || at < 0 {
		return "", err
	}
	offset := fmt.Sprintf("differs at byte %d", at)
	if !isTar(a) {
		return offset, nil
	}
	for _, file := range []*os.File{first, second} {
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			return "", err
		}
	}
	entry, err := entryThatDiffers(first, second)
	if err != nil {
		return fmt.Sprintf("%s (%v)", offset, err), nil
	}
	if entry == "" {
		return offset + ", although all entries are the same: it was compressed otherwise", nil
	}
	return entry, nil
}

// differsAt is the offset of the first byte that isn't the same; -1: none.
func differsAt(a, b io.Reader) (int64, error) {
	x, y := make([]byte, 1<<20), make([]byte, 1<<20)
	for at := int64(0); ; at += int64(len(x)) {
		n, err := fill(a, x)
		if err != nil {
			return 0, err
		}
		m, err := fill(b, y)
		if err != nil {
			return 0, err
		}
		if !bytes.Equal(x[:n], y[:m]) {
			same := 0
			for same < min(n, m) && x[same] == y[same] {
				same++
			}
			return at + int64(same), nil
		}
		if n < len(x) {
			return -1, nil
		}
	}
}

// fill reads as much as there is, which is less than the buffer only at the end.
func fill(r io.Reader, buffer []byte) (int, error) {
	n, err := io.ReadFull(r, buffer)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return n, err
}

func isTar(name string) bool {
	for _, end := range []string{".tgz", ".tar.gz", ".tar.zst", ".tar"} {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	return false
}

func openTar(file *os.File) (*tar.Reader, func(), error) {
	switch {
	case strings.HasSuffix(file.Name(), "gz"):
		plain, err := gzip.NewReader(file)
		if err != nil {
			return nil, nil, err
		}
		return tar.NewReader(plain), func() { _ = plain.Close() }, nil
	case strings.HasSuffix(file.Name(), ".zst"):
		plain, err := zstd.NewReader(file)
		if err != nil {
			return nil, nil, err
		}
		return tar.NewReader(plain), plain.Close, nil
	}
	return tar.NewReader(file), func() {}, nil
}

func entryThatDiffers(a, b *os.File) (string, error) {
	first, closeFirst, err := openTar(a)
	if err != nil {
		return "", err
	}
	defer closeFirst()
	second, closeSecond, err := openTar(b)
	if err != nil {
		return "", err
	}
	defer closeSecond()
	for {
		x, errA := first.Next()
		y, errB := second.Next()
		switch {
		case errors.Is(errA, io.EOF) && errors.Is(errB, io.EOF):
			return "", nil
		case errors.Is(errA, io.EOF) && errB == nil:
			return "only the second build has the entry " + y.Name, nil
		case errors.Is(errB, io.EOF) && errA == nil:
			return "only the first build has the entry " + x.Name, nil
		case errA != nil || errB != nil:
			return "", errors.Join(errA, errB)
		}
		if what := headersDiffer(x, y); what != "" {
			return what, nil
		}
		at, err := differsAt(first, second)
		if err != nil {
			return "", err
		}
		if at >= 0 {
			return fmt.Sprintf("the entry %s differs at its byte %d", x.Name, at), nil
		}
	}
}

func headersDiffer(x, y *tar.Header) string {
	if x.Name != y.Name {
		return fmt.Sprintf("where the first build has the entry %s, the second has %s", x.Name, y.Name)
	}
	for _, field := range []struct {
		name string
		a, b any
	}{
		{"kind", string(x.Typeflag), string(y.Typeflag)},
		{"mode", fmt.Sprintf("%#o", x.Mode), fmt.Sprintf("%#o", y.Mode)},
		{"time", x.ModTime.UTC().Format(time.RFC3339Nano), y.ModTime.UTC().Format(time.RFC3339Nano)},
		{"owner", fmt.Sprintf("%d:%d", x.Uid, x.Gid), fmt.Sprintf("%d:%d", y.Uid, y.Gid)},
		{"owner's name", x.Uname + ":" + x.Gname, y.Uname + ":" + y.Gname},
		{"link", x.Linkname, y.Linkname},
	} {
		if field.a != field.b {
			return fmt.Sprintf("the entry %s differs in its %s: %v, then %v", x.Name, field.name, field.a, field.b)
		}
	}
	return ""
}
