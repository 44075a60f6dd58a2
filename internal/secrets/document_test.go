package secrets

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files anew")

// useTestIdentity makes the identity of testdata the only one.
func useTestIdentity(t testing.TB) {
	t.Helper()
	keys, err := filepath.Abs("testdata/keys.txt")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(keys, 0o600)) // git keeps no such mode
	t.Setenv("SOPS_AGE_KEY", "")
	t.Setenv("SOPS_AGE_KEY_FILE", keys)
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
}

// testdata/by-sops*.yaml were written by sops itself.
func TestFileOfSOPSIsRead(t *testing.T) {
	useTestIdentity(t)
	for _, name := range []string{"by-sops.yaml", "by-sops-mac-only.yaml"} {
		t.Run(name, func(t *testing.T) {
			f, err := Open(filepath.Join("testdata", name))
			require.NoError(t, err)
			require.Equal(t, []string{"users.alice", "users.bob", "users.carol", "syncthing.apiKey", "note_unencrypted", "empty", "multi"}, f.Names())
			for name, want := range map[string]string{
				"users.alice": "correct horse", "users.bob": "12345", "multi": "two\nlines\n", "note_unencrypted": "read by hand",
			} {
				got, err := f.Get(name)
				require.NoError(t, err)
				require.Equal(t, want, got)
			}
			require.False(t, f.Has("empty"))
			_, err = f.Get("users.carol")
			require.ErrorContains(t, err, "users.carol: was written without quotes and became a number")
		})
	}
}

func TestWindowsLineEndsAreRead(t *testing.T) {
	useTestIdentity(t)
	content, err := os.ReadFile("testdata/by-sops.yaml")
	require.NoError(t, err)
	doc, err := parseDocument("x.yaml", []byte("\ufeff"+strings.ReplaceAll(string(content), "\n", "\r\n")), FindKeyring())
	require.NoError(t, err)
	written, err := doc.encode(time.Now())
	require.NoError(t, err)
	require.NotContains(t, string(written), "\r")
}

// Each file of testdata/broken is by-sops.yaml with one fault; beside it stands
// what a person is told.
func TestBrokenFileIsRefused(t *testing.T) {
	useTestIdentity(t)
	files, err := filepath.Glob("testdata/broken/*.yaml")
	require.NoError(t, err)
	require.Greater(t, len(files), 35)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			content, err := os.ReadFile(file)
			require.NoError(t, err)
			_, err = parseDocument("homecloud.secrets.yaml", content, FindKeyring())
			require.Error(t, err)
			keys, _ := filepath.Abs("testdata/keys.txt")
			got := strings.ReplaceAll(err.Error(), keys, "KEYS")
			got = strings.ReplaceAll(got, os.Getenv("XDG_CONFIG_HOME"), "CONFIG") + "\n"
			golden := strings.TrimSuffix(file, ".yaml") + ".golden"
			if *update {
				require.NoError(t, os.WriteFile(golden, []byte(got), 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Equal(t, string(want), got)
			require.NotContains(t, got, "hunter2", "a secret must not be in an error")
		})
	}
}

func TestUnchangedValuesKeepTheirCiphertext(t *testing.T) {
	useTestIdentity(t)
	before, err := os.ReadFile("testdata/by-sops.yaml")
	require.NoError(t, err)
	doc, err := parseDocument("x.yaml", before, FindKeyring())
	require.NoError(t, err)
	require.NoError(t, doc.set("users.bob", []byte("other")))
	require.NoError(t, doc.set("users.zoe", []byte("new")))
	after, err := doc.encode(time.Now())
	require.NoError(t, err)

	old := strings.Split(string(before), "\n")
	gone, added := difference(old, strings.Split(string(after), "\n"))
	require.Len(t, added, 4, "users.bob, users.zoe, lastmodified and mac, nothing else: %q", added)
	require.Len(t, gone, 3, "%q", gone)
}

// difference lists the lines that only one of the two has.
func difference(before, after []string) (gone, added []string) {
	count := map[string]int{}
	for _, line := range before {
		count[strings.TrimLeft(line, " -")]++
	}
	for _, line := range after {
		line = strings.TrimLeft(line, " -")
		if count[line] == 0 {
			added = append(added, line)
			continue
		}
		count[line]--
	}
	for line, n := range count {
		for range n {
			gone = append(gone, line)
		}
	}
	return gone, added
}

func TestRotationLeavesNothingUnderTheOldKey(t *testing.T) {
	useTestIdentity(t)
	before, err := os.ReadFile("testdata/by-sops.yaml")
	require.NoError(t, err)
	doc, err := parseDocument("x.yaml", before, FindKeyring())
	require.NoError(t, err)
	require.NoError(t, doc.rotate(doc.meta.names()))
	after, err := doc.encode(time.Now())
	require.NoError(t, err)

	for line := range strings.Lines(string(before)) {
		if strings.Contains(line, "ENC[") {
			require.NotContains(t, string(after), strings.TrimSpace(line))
		}
	}
	again, err := parseDocument("x.yaml", after, FindKeyring())
	require.NoError(t, err)
	require.Equal(t, "correct horse", string(again.find("users.alice").plain))
}

func TestNewNameIsAddedAlsoWhenSOPSSectionIsNotTheLast(t *testing.T) {
	useTestIdentity(t)
	content, err := os.ReadFile("testdata/by-sops.yaml")
	require.NoError(t, err)
	values, section, found := strings.Cut(string(content), "sops:\n")
	require.True(t, found)
	doc, err := parseDocument("x.yaml", []byte("sops:\n"+section+values), FindKeyring())
	require.NoError(t, err)
	require.NoError(t, doc.set("users.zoe", []byte("new")))
	_, err = doc.encode(time.Now())
	require.NoError(t, err)
}

func TestNameThatSOPSLeavesInClearIsRefused(t *testing.T) {
	useTestIdentity(t)
	doc, err := newDocument("x.yaml", []string{FindKeyring().Own()})
	require.NoError(t, err)
	require.ErrorContains(t, doc.set("users.x_unencrypted", []byte("secret")), "leaves unencrypted")
}

func FuzzParseDocument(f *testing.F) {
	seeds, err := filepath.Glob("testdata/*.yaml")
	require.NoError(f, err)
	broken, err := filepath.Glob("testdata/broken/*.yaml")
	require.NoError(f, err)
	for _, seed := range append(seeds, broken...) {
		content, err := os.ReadFile(seed)
		require.NoError(f, err)
		f.Add(content)
	}
	useTestIdentity(f)
	keyring := FindKeyring()
	f.Fuzz(func(t *testing.T, input []byte) {
		doc, err := parseDocument("x.yaml", input, keyring)
		if err != nil {
			return
		}
		written, err := doc.encode(time.Now())
		require.NoError(t, err, "what is read can be written")
		_, err = parseDocument("x.yaml", written, keyring)
		require.NoError(t, err)
	})
}

func FuzzValueIsReadBack(f *testing.F) {
	f.Add("users.alice", "correct horse", "# a comment")
	f.Add("a: b", "- x\n\ttab\r\n\x00", "#ENC[AES256_GCM,data:AA==,iv:AA==,tag:AA==,type:comment]")
	f.Add("sops", "é☃", "")
	useTestIdentity(f)
	keyring := FindKeyring()
	f.Fuzz(func(t *testing.T, name, value, comment string) {
		if !utf8.ValidString(name) || !utf8.ValidString(comment) {
			return // neither comes in: a file that isn't UTF-8 is refused
		}
		doc, err := newDocument("x.yaml", []string{keyring.Own()})
		require.NoError(t, err)
		if doc.set(name, []byte(value)) != nil {
			return
		}
		doc.find(name).node.LineComment = comment
		written, err := doc.encode(time.Now())
		if err != nil {
			return // a name or a comment that YAML can't carry is refused, not spoiled
		}
		again, err := parseDocument("x.yaml", written, keyring)
		require.NoError(t, err)
		require.Equal(t, value, string(again.find(name).plain))
	})
}
