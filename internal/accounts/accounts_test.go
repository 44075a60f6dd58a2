package accounts_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tmorin/homecloud/internal/accounts"
)

var owner = accounts.Owner{UID: 2000, GID: 2000}

func TestNTHashIsWindows(t *testing.T) {
	// Values that Samba's `pdbedit` and Windows agree on.
	for password, want := range map[string]string{
		"password": "8846F7EAEE8FB117AD06BDD830B7586C",
		"":         "31D6CFE0D16AE931B73C59D7E0C089C0",
	} {
		require.Equal(t, want, accounts.NTHash(password))
	}
	require.NotEqual(t, accounts.NTHash("Grüße 😀"), accounts.NTHash("Gr??e ?"), "beyond ASCII and beyond 16 bits")
}

func TestUserKeepsTheUIDWhoeverElseComes(t *testing.T) {
	few, err := accounts.UIDs(owner, []string{"alice", "bob"})
	require.NoError(t, err)
	var many []string
	for i := range 2000 {
		many = append(many, fmt.Sprintf("user-%d", i))
	}
	all, err := accounts.UIDs(owner, append(many, "bob", "alice"))
	require.NoError(t, err)
	require.Equal(t, few["alice"], all["alice"])
	require.Equal(t, few["bob"], all["bob"])
	taken := map[int]string{}
	for name, uid := range all {
		require.Empty(t, taken[uid], "%s and %s", name, taken[uid])
		taken[uid] = name
		require.Greater(t, uid, 65535, "no account of the system")
		require.Less(t, uid, 1<<31-1)
	}
	// Written down: a change would give everybody another Windows SID.
	require.Equal(t, 736626377, few["alice"])
}

func TestNamesThatCannotBeAccountsAreRefusedTogether(t *testing.T) {
	_, err := accounts.UIDs(owner, []string{"root", "a:b", "Alice", "bob", "bob", "homecloud", ""})
	for _, want := range []string{`"root" is an account of the system`, `"a:b" can't be`, `"Alice" can't be`, `"bob" is there twice`, `"homecloud" is an account`, `"" can't be`} {
		require.ErrorContains(t, err, want)
	}
}

// keeper writes for alice, bob and carol; carol's password is empty, bob has
// none.
func keeper(t *testing.T) (*accounts.Keeper, *bytes.Buffer) {
	t.Helper()
	folder := t.TempDir()
	log := &bytes.Buffer{}
	k := &accounts.Keeper{Config: filepath.Join(folder, "accounts.json"), Users: filepath.Join(folder, "users"),
		Out: filepath.Join(folder, "out"), Interval: time.Millisecond, Log: slog.New(slog.NewTextHandler(log, nil))}
	require.NoError(t, os.Mkdir(k.Users, 0o700))
	require.NoError(t, os.Mkdir(k.Out, 0o700))
	write(t, k.Config, `{"owner":{"uid":2000,"gid":2000},"users":["carol","alice","bob"]}`)
	write(t, filepath.Join(k.Users, "alice"), "password\n")
	write(t, filepath.Join(k.Users, "carol"), "\n")
	write(t, filepath.Join(k.Users, "mallory"), "is in no file")
	return k, log
}

func write(t *testing.T, path, content string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path+".new", []byte(content), 0o600))
	require.NoError(t, os.Rename(path+".new", path))
}

func read(t *testing.T, k *accounts.Keeper, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(k.Out, name))
	require.NoError(t, err)
	return string(content)
}

func TestFilesAreWhatSambaAndTheNameServiceRead(t *testing.T) {
	k, log := keeper(t)
	require.NoError(t, k.Write())
	require.Equal(t, "homecloud:x:2000:\n", read(t, k, "group"))
	passwd := read(t, k, "passwd")
	require.True(t, strings.HasPrefix(passwd, "homecloud:x:2000:2000:"), passwd)
	require.Contains(t, passwd, "\nalice:x:736626377:2000::/nonexistent:/usr/sbin/nologin\n")
	require.NotContains(t, passwd, "mallory")
	require.Equal(t,
		"alice:736626377:XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX:8846F7EAEE8FB117AD06BDD830B7586C:[U          ]:LCT-67000000:\n"+
			"bob:29767640:XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX:XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX:[DU         ]:LCT-67000000:\n"+
			"carol:204921095:XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX:XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX:[DU         ]:LCT-67000000:\n",
		read(t, k, "smbpasswd"))
	info, err := os.Stat(filepath.Join(k.Out, "smbpasswd"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	require.Contains(t, log.String(), "bob carol")
	require.NotContains(t, log.String(), "password\\n")
	require.NotContains(t, log.String(), "8846F7")
}

func TestOnlyOneNewlineIsNoPartOfThePassword(t *testing.T) {
	k, _ := keeper(t)
	write(t, filepath.Join(k.Users, "alice"), "password\n\n")
	require.NoError(t, k.Write())
	require.Contains(t, read(t, k, "smbpasswd"), accounts.NTHash("password\n"))
}

func TestUnchangedFilesAreNotTouched(t *testing.T) {
	k, _ := keeper(t)
	require.NoError(t, k.Write())
	before, err := os.Stat(filepath.Join(k.Out, "smbpasswd"))
	require.NoError(t, err)
	require.NoError(t, k.Write())
	after, err := os.Stat(filepath.Join(k.Out, "smbpasswd"))
	require.NoError(t, err)
	require.True(t, os.SameFile(before, after))
}

func TestPasswordThatIsNotTextChangesNothing(t *testing.T) {
	k, _ := keeper(t)
	require.NoError(t, k.Write())
	before := read(t, k, "smbpasswd")
	write(t, filepath.Join(k.Users, "alice"), "\xff\xfe")
	err := k.Write()
	require.ErrorContains(t, err, "alice isn't UTF-8")
	require.Equal(t, before, read(t, k, "smbpasswd"))
}

func TestChangesAreFollowed(t *testing.T) {
	k, _ := keeper(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- k.Follow(ctx) }()
	has := func(text string) func() bool {
		return func() bool {
			content, err := os.ReadFile(filepath.Join(k.Out, "smbpasswd"))
			return err == nil && strings.Contains(string(content), text)
		}
	}
	require.Eventually(t, has(accounts.NTHash("password")), 10*time.Second, time.Millisecond)
	write(t, filepath.Join(k.Users, "alice"), "another")
	require.Eventually(t, has(accounts.NTHash("another")), 10*time.Second, time.Millisecond)
	write(t, k.Config, `{"owner":{"uid":2000,"gid":2000},"users":["dave"]}`)
	require.Eventually(t, has("dave:"), 10*time.Second, time.Millisecond)
	cancel()
	require.NoError(t, <-ended)
	require.NotContains(t, read(t, k, "smbpasswd"), "alice", "a removed user has no account")
}
