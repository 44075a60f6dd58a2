package gitops

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// listName is the file that says which files are hcchart's, and what it wrote
// into them.
const listName = ".homecloud-gitops"

// Change is what Write does to a file.
type Change struct {
	Verb string // create, update, delete, or keep for a changed file that is set aside
	Path string // in the folder
}

// Plan is what has to be done to a folder.
type Plan struct {
	Changes []Change

	dir, tool string
	files     map[string]File
	before    list // what an earlier run wrote
}

// list is the content of listName: the sums that a file of ours may have. It
// has more than one while a run is under way, so that the next one after an
// interrupt knows its own files.
type list map[string][]string

// Look compares a folder with the files that belong into it, and changes
// nothing. It refuses a folder that holds something else, and files of ours
// that somebody changed: unless force sets those aside.
func Look(dir, tool string, files map[string]File, force bool) (*Plan, error) {
	p := &Plan{dir: dir, tool: tool, files: maps.Clone(files)}
	folder, err := os.OpenRoot(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		for _, name := range slices.Sorted(maps.Keys(files)) {
			p.Changes = append(p.Changes, Change{"create", name})
		}
		return p, nil
	case err != nil:
		return nil, err
	}
	defer folder.Close()
	if p.before, err = p.readList(folder); err != nil {
		return nil, err
	}
	var problems []error
	names := slices.Concat(slices.Collect(maps.Keys(files)), slices.Collect(maps.Keys(p.before)))
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		changes, err := p.look(folder, name, force)
		p.Changes = append(p.Changes, changes...)
		problems = append(problems, err)
	}
	return p, errors.Join(problems...)
}

// look says what happens to one file. A file that stays as it is takes the
// place of what would be written.
func (p *Plan) look(folder *os.Root, name string, force bool) ([]Change, error) {
	file, wanted := p.files[name]
	sums, ours := p.before[name]
	info, err := folder.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		if !wanted {
			return nil, nil
		}
		return []Change{{"create", name}}, nil
	}
	if err != nil {
		return nil, err
	}
	if wanted && file.Once {
		return nil, nil
	}
	var content []byte
	if info.Mode().IsRegular() {
		if content, err = folder.ReadFile(name); err != nil {
			return nil, err
		}
	}
	if wanted && info.Mode().IsRegular() && (bytes.Equal(content, file.Content) || file.Serves != nil && file.Serves(content)) {
		file.Content = content
		p.files[name] = file
		return nil, nil
	}
	verb := "delete"
	if wanted {
		verb = "update"
	}
	where := filepath.Join(p.dir, filepath.FromSlash(name))
	switch {
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: not a regular file, which hcchart neither reads nor replaces; move it away", where)
	case ours && slices.Contains(sums, sum(content)):
		return []Change{{verb, name}}, newerPin(where, content, file.Content)
	case force:
		return []Change{{"keep", name}, {verb, name}}, nil
	case ours:
		return nil, fmt.Errorf("%s: was changed since hcchart wrote it; put your change into own/, or say --force, which sets yours aside as %s", where, name+aside)
	default:
		return nil, fmt.Errorf("%s: isn't hcchart's, and is where hcchart writes; move it away, or say --force, which sets it aside as %s", where, name+aside)
	}
}

// aside is what the name of a file ends in that was set aside.
const aside = ".orig"

// readList reads what an earlier run wrote; a folder without a list has to be
// empty.
func (p *Plan) readList(folder *os.Root) (list, error) {
	text, err := folder.ReadFile(listName)
	if errors.Is(err, fs.ErrNotExist) {
		entries, err := fs.ReadDir(folder.FS(), ".")
		if err != nil {
			return nil, err
		}
		for _, entry := range entries {
			if entry.Name() != ".git" {
				return nil, fmt.Errorf("%s isn't empty and holds nothing of hcchart gitops; name a new folder, in a repository with other content one of its own, such as --out %s --path homecloud",
					p.dir, filepath.Join(p.dir, "homecloud"))
			}
		}
		return list{}, nil
	}
	if err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Scan()
	if lines.Text() != p.heading() {
		return nil, fmt.Errorf("%s: was made for another tool than %s, or by another version; use a folder of its own for each tool, or remove this one", filepath.Join(p.dir, listName), p.tool)
	}
	before := list{}
	for lines.Scan() {
		hash, name, found := strings.Cut(lines.Text(), "  ")
		if !found || !fs.ValidPath(name) {
			return nil, fmt.Errorf("%s: %q isn't a line of it; restore its last good copy (git checkout)", filepath.Join(p.dir, listName), lines.Text())
		}
		before[name] = append(before[name], hash)
	}
	return before, lines.Err()
}

func (p *Plan) heading() string {
	return "# What hcchart gitops " + p.tool + " wrote, so that it never overwrites what you change."
}

func (p *Plan) writeList(folder *os.Root, sums list) error {
	var text strings.Builder
	fmt.Fprintln(&text, p.heading())
	for _, name := range slices.Sorted(maps.Keys(sums)) {
		for _, hash := range sums[name] {
			fmt.Fprintf(&text, "%s  %s\n", hash, name)
		}
	}
	return replace(folder, listName, []byte(text.String()), 0o644)
}

// Write does what Look found. Each file is replaced at once; after an interrupt
// the next run goes on.
func (p *Plan) Write(ctx context.Context) error {
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		return err
	}
	folder, err := os.OpenRoot(p.dir)
	if err != nil {
		return err
	}
	defer folder.Close()
	after, meanwhile := list{}, list{}
	for name, file := range p.files {
		if !file.Once {
			after[name] = []string{sum(file.Content)}
		}
	}
	for _, sums := range []list{p.before, after} {
		for name, sum := range sums {
			meanwhile[name] = append(meanwhile[name], sum...)
		}
	}
	if len(p.Changes) == 0 && maps.EqualFunc(p.before, after, slices.Equal) {
		return nil
	}
	if len(p.Changes) > 0 {
		if err := p.writeList(folder, meanwhile); err != nil {
			return err
		}
	}
	for _, change := range p.Changes {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := p.write(folder, change); err != nil {
			return err
		}
	}
	return p.writeList(folder, after)
}

func (p *Plan) write(folder *os.Root, change Change) error {
	switch change.Verb {
	case "keep":
		return setAside(folder, change.Path)
	case "delete":
		err := folder.Remove(change.Path)
		for up := path.Dir(change.Path); up != "." && (err == nil || errors.Is(err, fs.ErrNotExist)); up = path.Dir(up) {
			if folder.Remove(up) != nil { // somebody has something in it
				break
			}
		}
		if errors.Is(err, fs.ErrNotExist) { // it was set aside
			err = nil
		}
		return err
	}
	if up := path.Dir(change.Path); up != "." {
		if err := folder.MkdirAll(up, 0o755); err != nil {
			return err
		}
	}
	file := p.files[change.Path]
	mode := fs.FileMode(0o644)
	if file.Private {
		mode = 0o600
	}
	return replace(folder, change.Path, file.Content, mode)
}

// setAside gives a file a name that is free.
func setAside(folder *os.Root, name string) error {
	for n := 1; ; n++ {
		free := name + aside
		if n > 1 {
			free = fmt.Sprintf("%s%s.%d", name, aside, n)
		}
		if _, err := folder.Lstat(free); errors.Is(err, fs.ErrNotExist) {
			return folder.Rename(name, free)
		} else if err != nil {
			return err
		}
	}
}

// replace writes beside a file and then takes its place, so that an interrupt
// leaves the old one or the new one.
func replace(folder *os.Root, name string, content []byte, mode fs.FileMode) error {
	beside := path.Join(path.Dir(name), "."+path.Base(name)+".new")
	err := folder.Remove(beside) // of an interrupted run
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	file, err := folder.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err = errors.Join(err, file.Close()); err == nil {
		err = folder.Rename(beside, name)
	}
	if err != nil {
		return errors.Join(err, folder.Remove(beside))
	}
	return nil
}

// pin is where a version stands that an update bot may move.
var pin = regexp.MustCompile(`(?m)^( +(?:targetRevision|tag): )(\S+)( # an update bot may move it)$`)

// sum tells whether a file is as hcchart wrote it: a moved pin aside, and line
// ends that Git turned.
func sum(content []byte) string {
	content = bytes.ReplaceAll(content, []byte("\r\n"), []byte("\n"))
	hash := sha256.Sum256(pin.ReplaceAll(content, []byte("$1$3")))
	return hex.EncodeToString(hash[:])
}

// newerPin refuses to take back what an update bot did.
func newerPin(where string, content, wanted []byte) error {
	is, ours := pin.FindSubmatch(content), pin.FindSubmatch(wanted)
	if is == nil || ours == nil {
		return nil
	}
	moved, err := semver.NewVersion(string(is[2]))
	if err != nil {
		return fmt.Errorf("%s: %q is no version of a chart; write one, such as %s", where, is[2], ours[2])
	}
	mine, err := semver.NewVersion(string(ours[2]))
	if err == nil && moved.GreaterThan(mine) {
		return fmt.Errorf("%s: is at version %s of the chart, and this hcchart writes %s; take the hcchart of that version", where, is[2], ours[2])
	}
	return nil
}
