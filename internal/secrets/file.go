package secrets

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// File is a secrets file that was opened, verified and decrypted. What is
// changed reaches the disk only through Change and Init.
type File struct {
	doc     *document
	keyring *Keyring
	changed bool
}

// Open reads, decrypts and verifies the file, with the age identities of this
// machine. An absent file is os.ErrNotExist.
func Open(path string) (*File, error) {
	content, err := readFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w; hcchart secrets init makes it", path, os.ErrNotExist)
	}
	if err != nil {
		return nil, err
	}
	keyring := FindKeyring()
	doc, err := parseDocument(path, content, keyring)
	if err != nil {
		return nil, err
	}
	return &File{doc: doc, keyring: keyring}, nil
}

// Change opens the file under a lock, gives it to change, and replaces it
// atomically when something was changed. After an error the file is as it was.
func Change(ctx context.Context, path string, change func(*File) error) error {
	target, err := filepath.EvalSymlinks(path) // a link stays a link
	if errors.Is(err, os.ErrNotExist) {
		_, err = Open(path)
		return err
	}
	if err != nil {
		return err
	}
	unlock, err := lock(ctx, target)
	if err != nil {
		return err
	}
	defer unlock()
	removeRemnants(target)
	before, err := readFile(target)
	if err != nil {
		return err
	}
	keyring := FindKeyring()
	doc, err := parseDocument(path, before, keyring)
	if err != nil {
		return err
	}
	f := &File{doc: doc, keyring: keyring}
	if err := change(f); err != nil || !f.changed {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	after, err := doc.encode(time.Now())
	if err != nil {
		return err
	}
	// sops and editors take no lock.
	if now, err := readFile(target); err != nil || !bytes.Equal(now, before) {
		return fmt.Errorf("%s: somebody else changed it meanwhile; nothing was written, run the command again", path)
	}
	return replaceFile(target, after, os.Rename)
}

// create writes a file that must not exist yet.
func (f *File) create(path string) error {
	content, err := f.doc.encode(time.Now())
	if err != nil {
		return err
	}
	err = replaceFile(path, content, renameToFree)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s: somebody else made it meanwhile; it was not touched, run the command again", path)
	}
	f.changed = false
	return err
}

// replaceFile writes beside path, to the disk, then puts the new file in its
// place: a crash leaves the old file or the new one.
func replaceFile(path string, content []byte, place func(from, to string) error) (err error) {
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(temporary.Name())
			err = fmt.Errorf("write %s: %w", path, err)
		}
	}()
	_, err = temporary.Write(content)
	if err == nil {
		err = temporary.Sync()
	}
	if err = errors.Join(err, temporary.Close()); err != nil {
		return err
	}
	if err = place(temporary.Name(), path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// remnantAge is more than anybody takes to write a file, also one that is made
// for the first time and has no lock yet.
const remnantAge = time.Hour

// removeRemnants removes what a replacing that was killed left beside path.
func removeRemnants(path string) {
	prefix := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".")
	remnants, _ := filepath.Glob(prefix + "[0-9]*") // as os.CreateTemp names them
	for _, remnant := range remnants {
		info, err := os.Stat(remnant)
		if err == nil && time.Since(info.ModTime()) > remnantAge && strings.Trim(remnant[len(prefix):], "0123456789") == "" {
			_ = os.Remove(remnant)
		}
	}
}

// renameToFree is a rename that never overwrites: a hard link fails when the
// name is taken.
func renameToFree(from, to string) error {
	err := os.Link(from, to)
	if err == nil {
		return os.Remove(from)
	}
	// A file system without hard links (a USB stick).
	if _, statErr := os.Lstat(to); errors.Is(statErr, os.ErrNotExist) {
		return os.Rename(from, to)
	}
	return err
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	defer folder.Close()
	// Some file systems can't; the new file is in place all the same.
	_ = folder.Sync()
	return nil
}

// readFile reads no more than a secrets file can be.
func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, maxSize+1))
}

// Names lists all secrets of the file in its order.
func (f *File) Names() []string {
	var names []string
	for _, e := range f.doc.entries {
		names = append(names, e.name)
	}
	return names
}

// Has tells whether the file holds a value for the name. An empty value is
// none.
func (f *File) Has(name string) bool {
	e := f.doc.find(name)
	return e != nil && len(e.plain) > 0
}

// Get gives a secret. It refuses a value that SOPS keeps as a number, a date or
// a truth value: 0123 would have become 83 without a word.
func (f *File) Get(name string) (string, error) {
	if !f.Has(name) {
		return "", fmt.Errorf("%s: %s: is missing; hcchart secrets init makes what is missing", f.doc.file, name)
	}
	e := f.doc.find(name)
	if e.kind != kindString {
		return "", at(f.doc.file, e.node.Line, e.node.Column, name,
			fmt.Sprintf("was written without quotes and became a %s, which may not be what was meant; set it again: hcchart secrets set %s", kindWords[e.kind], name))
	}
	return string(e.plain), nil
}

var kindWords = map[string]string{
	"int": "number", "float": "number", "bool": "truth value", "time": "date", "bytes": "binary value",
}

// set changes a value, and nothing when it is the same already.
func (f *File) set(name, value string) error {
	if e := f.doc.find(name); e != nil && e.kind == kindString && string(e.plain) == value {
		return nil
	}
	f.changed = true
	return f.doc.set(name, []byte(value))
}

// Recipients lists who can open the file.
func (f *File) Recipients() []string { return f.doc.meta.names() }

// AddRecipient lets one more identity open the file. It tells whether that was
// new.
func (f *File) AddRecipient(recipient string) (bool, error) {
	added, err := f.doc.meta.addRecipient(recipient, f.doc.dataKey)
	f.changed = f.changed || added
	return added, err
}

// RemoveRecipient encrypts the file anew for everybody else. Who could open it
// until now may have kept the values: they have to be changed as well.
func (f *File) RemoveRecipient(recipient string) error {
	old := f.Recipients()
	rest := slices.DeleteFunc(slices.Clone(old), func(r string) bool { return r == recipient })
	if len(rest) == len(old) {
		return fmt.Errorf("%s: %s cannot open it anyway; it opens for %s", f.doc.file, recipient, strings.Join(old, ", "))
	}
	if len(rest) > 0 && !f.keyring.opensFor(rest) {
		return fmt.Errorf("%s: without %s nobody here could open the file any more; to remove it, use the identity of %s: name its file in %s",
			f.doc.file, recipient, strings.Join(rest, " or "), envIdentityFile)
	}
	if err := f.doc.rotate(rest); err != nil {
		return err
	}
	f.changed = true
	return nil
}
