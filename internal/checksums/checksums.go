// Package checksums makes lists of files' SHA-256, in the form
// that `sha256sum --check` reads.
package checksums

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// Name is what such a list is called.
const Name = "SHA256SUMS"

// Of lists files of a folder, sorted.
func Of(folder string, names []string) ([]byte, error) {
	var list bytes.Buffer
	for _, name := range slices.Sorted(slices.Values(names)) {
		sum, err := of(filepath.Join(folder, name))
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&list, "%x  %s\n", sum, name)
	}
	return list.Bytes(), nil
}

func of(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return nil, err
	}
	return sum.Sum(nil), nil
}
