package secrets

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/stretchr/testify/require"

	"github.com/tmorin/homecloud/internal/config"
)

// home is the cluster of these tests: two boards, two people.
func home() *config.Cluster {
	return &config.Cluster{
		Name:  "home",
		Nodes: []config.Node{{Name: "node-1"}, {Name: "node-2"}, {Name: "node-3"}},
		Users: []config.User{{Name: "alice"}, {Name: "bob"}},
		DNAS:  config.DNAS{Nodes: []string{"node-1", "node-2"}},
	}
}

// newFile is a complete secrets file in an own folder.
func newFile(t *testing.T) string {
	t.Helper()
	useTestIdentity(t)
	path := filepath.Join(t.TempDir(), "homecloud.secrets.yaml")
	_, err := Init(t.Context(), path, home(), InitOptions{})
	require.NoError(t, err)
	return path
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(content)
}

func TestInitMakesEverythingTheClusterNeeds(t *testing.T) {
	useTestIdentity(t)
	path := filepath.Join(t.TempDir(), "homecloud.secrets.yaml")
	report, err := Init(t.Context(), path, home(), InitOptions{})
	require.NoError(t, err)
	require.True(t, report.Created)
	require.Empty(t, report.IdentityFile)
	require.Len(t, report.Recipients, 1)
	want := []string{
		"syncthing.apiKey", "syncthing.node-1.cert", "syncthing.node-1.key", "syncthing.node-2.cert", "syncthing.node-2.key",
		"users.alice", "users.bob",
	}
	require.Equal(t, want, report.Generated)

	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	f, err := Open(path)
	require.NoError(t, err)
	require.Equal(t, want, f.Names())
	for _, name := range want {
		value, err := f.Get(name)
		require.NoError(t, err)
		require.NotContains(t, read(t, path), value)
	}
	require.Empty(t, leftovers(t, path))
}

// leftovers are what else lies beside the file.
func leftovers(t *testing.T, path string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	var names []string
	for _, entry := range entries {
		if entry.Name() != filepath.Base(path) {
			names = append(names, entry.Name())
		}
	}
	return names
}

func TestSecondInitChangesNothing(t *testing.T) {
	path := newFile(t)
	before := read(t, path)
	report, err := Init(t.Context(), path, home(), InitOptions{})
	require.NoError(t, err)
	require.False(t, report.Created)
	require.Empty(t, report.Generated)
	require.Len(t, report.Kept, 7)
	require.Equal(t, before, read(t, path))
}

func TestGrownClusterGetsOnlyWhatIsNew(t *testing.T) {
	path := newFile(t)
	old, err := Open(path)
	require.NoError(t, err)
	grown := home()
	grown.Users = append(grown.Users[1:], config.User{Name: "carol"}) // alice left
	grown.DNAS.Nodes = []string{"node-1", "node-2", "node-3"}

	report, err := Init(t.Context(), path, grown, InitOptions{})
	require.NoError(t, err)
	require.Equal(t, []string{"syncthing.node-3.cert", "syncthing.node-3.key", "users.carol"}, report.Generated)
	require.Equal(t, []string{"users.alice"}, report.Surplus)
	f, err := Open(path)
	require.NoError(t, err)
	for _, name := range old.Names() {
		was, err := old.Get(name)
		require.NoError(t, err)
		is, err := f.Get(name)
		require.NoError(t, err)
		require.Equal(t, was, is, name)
	}
}

func TestIdentityIsMadeWhereSopsLooks(t *testing.T) {
	useTestIdentity(t)
	t.Setenv("SOPS_AGE_KEY_FILE", "")
	folder := t.TempDir()
	report, err := Init(t.Context(), filepath.Join(folder, "homecloud.secrets.yaml"), home(), InitOptions{})
	require.NoError(t, err)
	require.Equal(t, filepath.Join(os.Getenv("XDG_CONFIG_HOME"), "sops", "age", "keys.txt"), report.IdentityFile)
	info, err := os.Stat(report.IdentityFile)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	_, err = Open(filepath.Join(folder, "homecloud.secrets.yaml"))
	require.NoError(t, err)
}

func TestRecoveryKeyAloneOpensTheFile(t *testing.T) {
	path := newFile(t)
	recovery := filepath.Join(t.TempDir(), "recovery.txt")
	report, err := Init(t.Context(), path, home(), InitOptions{RecoveryKey: recovery})
	require.NoError(t, err)
	require.Len(t, report.Recipients, 2)

	t.Setenv("SOPS_AGE_KEY_FILE", recovery)
	_, err = Open(path)
	require.NoError(t, err)

	_, err = Init(t.Context(), path, home(), InitOptions{RecoveryKey: recovery})
	require.ErrorContains(t, err, "never overwritten")
}

func TestRecoveryKeyOfAFileThatCannotBeOpenedIsTakenAway(t *testing.T) {
	path := newFile(t)
	t.Setenv("SOPS_AGE_KEY_FILE", "")
	recovery := filepath.Join(t.TempDir(), "recovery.txt")
	_, err := Init(t.Context(), path, home(), InitOptions{RecoveryKey: recovery})
	require.ErrorContains(t, err, "no age identity found")
	require.NoFileExists(t, recovery)
}

func TestHalfAnIdentityIsNotLeftBehind(t *testing.T) {
	path := newFile(t)
	unset := func(names ...string) error {
		return Change(t.Context(), path, func(f *File) error { return f.Unset(names) })
	}
	before := read(t, path)
	require.ErrorContains(t, unset("syncthing.node-2.cert", "users.alice"),
		"syncthing.node-2.cert: is half of an identity, and syncthing.node-2.key would be left alone; give up both: hcchart secrets unset syncthing.node-2.cert syncthing.node-2.key")
	require.ErrorContains(t, unset("syncthing.node-2.key"), "is half of an identity")
	require.Equal(t, before, read(t, path))
	require.NoError(t, unset("syncthing.node-2.key", "syncthing.node-2.cert"))

	halve(t, path, "syncthing.node-1.key")
	require.NoError(t, unset("syncthing.node-1.cert"), "a half that is alone already may go")
}

// halve takes away half an identity, as other programs may.
func halve(t *testing.T, path, name string) {
	t.Helper()
	require.NoError(t, Change(t.Context(), path, func(f *File) error {
		f.doc.unset(name)
		f.changed = true
		return nil
	}))
}

func TestHalfAnIdentityIsNotCompleted(t *testing.T) {
	path := newFile(t)
	halve(t, path, "syncthing.node-2.key")
	before := read(t, path)
	_, err := Init(t.Context(), path, home(), InitOptions{})
	const want = "syncthing.node-2.key: is missing while syncthing.node-2.cert is there"
	require.ErrorContains(t, err, want)
	require.Equal(t, before, read(t, path))
	f, err := Open(path)
	require.NoError(t, err)
	_, err = Kubernetes(f, home(), "homecloud", "homecloud")
	require.ErrorContains(t, err, want)
	require.NotContains(t, err.Error(), "secrets init", "which would refuse it too")
}

func TestKeyOfAnotherNodeIsNoticed(t *testing.T) {
	path := newFile(t)
	require.NoError(t, Change(t.Context(), path, func(f *File) error {
		other, err := f.Get("syncthing.node-1.key")
		require.NoError(t, err)
		return f.set("syncthing.node-2.key", other)
	}))
	f, err := Open(path)
	require.NoError(t, err)
	_, err = Kubernetes(f, home(), "homecloud", "homecloud")
	require.ErrorContains(t, err, "syncthing.node-2: certificate and key are not a pair")
}

func TestIdentityIsNotReplaced(t *testing.T) {
	path := newFile(t)
	err := Change(t.Context(), path, func(f *File) error { return f.Set(home(), "syncthing.node-1.cert", "x") })
	require.ErrorContains(t, err, "another one would make another device of it")
	err = Change(t.Context(), path, func(f *File) error { return f.Generate(home(), "syncthing.node-1.key") })
	require.ErrorContains(t, err, "another one would make another device of it")
}

func TestBrokenFileIsNeverOverwritten(t *testing.T) {
	path := newFile(t)
	broken := strings.Replace(read(t, path), "users.alice: ENC[AES256_GCM,data:", "users.alice: ENC[AES256_GCM,data:AA", 1)
	require.NoError(t, os.WriteFile(path, []byte(broken), 0o600))
	_, err := Init(t.Context(), path, home(), InitOptions{})
	require.Error(t, err)
	require.Error(t, Change(t.Context(), path, func(f *File) error { return f.Set(home(), "users.alice", "new") }))
	require.Equal(t, broken, read(t, path))
	require.Empty(t, leftovers(t, path))
}

func TestManyWritersLoseNothing(t *testing.T) {
	path := newFile(t)
	cluster := home()
	var writers sync.WaitGroup
	for i := range 16 {
		cluster.Users = append(cluster.Users, config.User{Name: fmt.Sprintf("user-%d", i)})
	}
	for i := range 16 {
		writers.Go(func() {
			require.NoError(t, Change(t.Context(), path, func(f *File) error {
				return f.Set(cluster, fmt.Sprintf("users.user-%d", i), fmt.Sprintf("password-%d", i))
			}))
		})
	}
	writers.Wait()
	f, err := Open(path)
	require.NoError(t, err)
	for i := range 16 {
		got, err := f.Get(fmt.Sprintf("users.user-%d", i))
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("password-%d", i), got)
	}
	require.Empty(t, leftovers(t, path))
}

func TestTwoInitsAtOnceMakeOneFile(t *testing.T) {
	useTestIdentity(t)
	path := filepath.Join(t.TempDir(), "homecloud.secrets.yaml")
	var writers sync.WaitGroup
	made := make([]bool, 8)
	for i := range made {
		writers.Go(func() {
			report, err := Init(t.Context(), path, home(), InitOptions{})
			made[i] = err == nil && report.Created
		})
	}
	writers.Wait()
	count := 0
	for _, m := range made {
		if m {
			count++
		}
	}
	require.Equal(t, 1, count)
	_, err := Open(path)
	require.NoError(t, err)
	require.Empty(t, leftovers(t, path))
}

func TestChangeByAnEditorMeanwhileIsNotOverwritten(t *testing.T) {
	path := newFile(t)
	err := Change(t.Context(), path, func(f *File) error {
		require.NoError(t, os.WriteFile(path, []byte("other: content\n"), 0o600))
		return f.Set(home(), "users.alice", "new")
	})
	require.ErrorContains(t, err, "somebody else changed it meanwhile")
	require.Equal(t, "other: content\n", read(t, path))
}

func TestRemnantOfAKilledChangeGoes(t *testing.T) {
	path := newFile(t)
	beside := func(suffix string) string {
		return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+"."+suffix)
	}
	for _, suffix := range []string{"123", "2026-old", "bak"} {
		require.NoError(t, os.WriteFile(beside(suffix), nil, 0o600))
		require.NoError(t, os.Chtimes(beside(suffix), time.Time{}, time.Now().Add(-2*remnantAge)))
	}
	require.NoError(t, os.WriteFile(beside("456"), nil, 0o600))
	require.NoError(t, Change(t.Context(), path, func(*File) error { return nil }))
	require.NoFileExists(t, beside("123"))
	require.FileExists(t, beside("456"), "somebody may be writing it")
	require.FileExists(t, beside("2026-old"), "somebody's own")
	require.FileExists(t, beside("bak"), "somebody's own")
}

func TestInterruptedChangeWritesNothing(t *testing.T) {
	path := newFile(t)
	before := read(t, path)
	ctx, cancel := context.WithCancel(t.Context())
	err := Change(ctx, path, func(f *File) error {
		cancel()
		return f.Set(home(), "users.alice", "new")
	})
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, before, read(t, path))
}

func TestLinkStaysALink(t *testing.T) {
	path := newFile(t)
	link := filepath.Join(t.TempDir(), "homecloud.secrets.yaml")
	require.NoError(t, os.Symlink(path, link))
	require.NoError(t, Change(t.Context(), link, func(f *File) error { return f.Set(home(), "users.alice", "new") }))
	info, err := os.Lstat(link)
	require.NoError(t, err)
	require.Equal(t, os.ModeSymlink, info.Mode().Type())
	f, err := Open(path)
	require.NoError(t, err)
	got, err := f.Get("users.alice")
	require.NoError(t, err)
	require.Equal(t, "new", got)
}

func TestRemovedRecipientCannotOpenTheFile(t *testing.T) {
	path := newFile(t)
	second, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	hybrid, err := age.GenerateHybridIdentity()
	require.NoError(t, err)
	require.NoError(t, Change(t.Context(), path, func(f *File) error {
		for _, recipient := range []string{second.Recipient().String(), hybrid.Recipient().String()} {
			added, err := f.AddRecipient(recipient)
			require.NoError(t, err)
			require.True(t, added)
		}
		return nil
	}))
	for _, identity := range []string{second.String(), hybrid.String()} {
		t.Setenv("SOPS_AGE_KEY_FILE", "")
		t.Setenv("SOPS_AGE_KEY", identity)
		_, err = Open(path)
		require.NoError(t, err)
	}
	t.Setenv("SOPS_AGE_KEY", second.String())
	require.NoError(t, Change(t.Context(), path, func(f *File) error { return f.RemoveRecipient(hybrid.Recipient().String()) }))
	t.Setenv("SOPS_AGE_KEY", hybrid.String())
	_, err = Open(path)
	require.ErrorContains(t, err, "none of your age identities opens it")
}

// Whoever removes the key in the own hands finds out when it is too late.
func TestRecipientWhoRemovesIsNotLockedOut(t *testing.T) {
	path := newFile(t)
	second, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	require.NoError(t, Change(t.Context(), path, func(f *File) error {
		_, err := f.AddRecipient(second.Recipient().String())
		return err
	}))
	removeFirst := func(f *File) error { return f.RemoveRecipient(f.Recipients()[0]) }
	require.ErrorContains(t, Change(t.Context(), path, removeFirst), "nobody here could open the file any more")
	_, err = Open(path)
	require.NoError(t, err)

	t.Setenv("SOPS_AGE_KEY", second.String()) // beside the first
	require.NoError(t, Change(t.Context(), path, removeFirst))
}

func TestLastRecipientStays(t *testing.T) {
	path := newFile(t)
	err := Change(t.Context(), path, func(f *File) error { return f.RemoveRecipient(f.Recipients()[0]) })
	require.ErrorContains(t, err, "could never be opened again")
}

func TestSecretKeyAsRecipientIsRefusedAndNotRepeated(t *testing.T) {
	useTestIdentity(t)
	identity, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "homecloud.secrets.yaml")
	_, err = Init(t.Context(), path, home(), InitOptions{Recipients: []string{identity.String()}})
	require.ErrorContains(t, err, "this is a secret key")
	require.NotContains(t, err.Error(), identity.String())
	require.NoFileExists(t, path)
}

func TestMalformedIdentityIsNamedAndNotRepeated(t *testing.T) {
	path := newFile(t)
	keys := filepath.Join(t.TempDir(), "keys.txt")
	require.NoError(t, os.WriteFile(keys, []byte("# mine\nAGE-SECRET-KEY-1BROKEN\nAGE-PLUGIN-YUBIKEY-1X\n"), 0o600))
	t.Setenv("SOPS_AGE_KEY_FILE", keys)
	_, err := Open(path)
	require.ErrorContains(t, err, "line 2: not an age identity")
	require.ErrorContains(t, err, "line 3: age plug-ins are not supported")
	require.NotContains(t, err.Error(), "BROKEN")
}

func TestUnknownNameIsRefusedWithWhatWasMeant(t *testing.T) {
	path := newFile(t)
	for name, want := range map[string]string{
		"users.alise":      "did you mean users.alice?",
		"bob":              "did you mean users.bob?",
		"users.dan":        "add the user dan to the cluster file first",
		"users.dorothea":   "add the user dorothea to the cluster file first",
		"syncthing.apikey": "did you mean syncthing.apiKey?",
		"k3s.token":        "hcchart secrets list shows their names",
	} {
		err := Change(t.Context(), path, func(f *File) error { return f.Set(home(), name, "x") })
		require.ErrorContains(t, err, want)
	}
}

func TestPasswordThatNoClientCouldSendIsRefused(t *testing.T) {
	path := newFile(t)
	for value, want := range map[string]string{
		"":                       "is empty",
		"two\nlines":             "several lines or control characters",
		"\xff":                   "not UTF-8",
		strings.Repeat("é", 128): "longer than the 127 characters",
	} {
		err := Change(t.Context(), path, func(f *File) error { return f.Set(home(), "users.bob", value) })
		require.ErrorContains(t, err, want)
	}
}

func TestAPIKeyThatNoHeaderCouldCarryIsRefused(t *testing.T) {
	path := newFile(t)
	set := func(value string) error {
		return Change(t.Context(), path, func(f *File) error { return f.Set(home(), "syncthing.apiKey", value) })
	}
	for _, value := range []string{"short", "0123456789 abcdef", `0123456789"abcdef`, "0123456789'abcdef", "0123456789abcdéf"} {
		require.ErrorContains(t, set(value), "the value is not an API key")
	}
	require.NoError(t, set("0123456789-abc_DEF"))
}

// An identity that was given up may come from a copy of the board's.
func TestIdentityIsSetFromAPairAlone(t *testing.T) {
	path := newFile(t)
	const certificate, key = "syncthing.node-1.cert", "syncthing.node-1.key"
	values := map[string]string{}
	require.NoError(t, Change(t.Context(), path, func(f *File) error {
		for _, name := range []string{certificate, key, "syncthing.node-2.key"} {
			value, err := f.Get(name)
			require.NoError(t, err)
			values[name] = value
		}
		return f.Unset([]string{certificate, key})
	}))
	set := func(name, value string) error {
		return Change(t.Context(), path, func(f *File) error { return f.Set(home(), name, value) })
	}
	require.ErrorContains(t, set(certificate, "MFZ"), "is not a certificate; give the whole PEM file")
	require.ErrorContains(t, set(certificate, values[key]), "is not a certificate")
	require.ErrorContains(t, set(certificate, ""), "is empty; give one, or hcchart secrets init")
	require.NoError(t, set(certificate, strings.TrimSuffix(values[certificate], "\n")))
	require.ErrorContains(t, set(key, "MFZ"), "is not a private key; give the whole PEM file")
	require.ErrorContains(t, set(key, values[certificate]), "is not a private key")
	require.ErrorContains(t, set(key, values["syncthing.node-2.key"]), "not a pair; give the half that belongs to "+certificate)
	require.NoError(t, set(key, strings.TrimSuffix(values[key], "\n")))
	f, err := Open(path)
	require.NoError(t, err)
	_, err = f.Identity("node-1")
	require.NoError(t, err)
}
