package syncthing_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/deviceidentity"
	"github.com/tmorin/homecloud/internal/syncthing"
)

// preparation is one that works; tests break it.
func preparation(t *testing.T) syncthing.Preparation {
	t.Helper()
	folder := t.TempDir()
	p := syncthing.Preparation{
		Settings: syncthing.Settings{Cluster: "home", Disk: "data", ListenPort: 22000, Discovery: "lan",
			Nodes: map[string]syncthing.NodeSettings{"node-1": {Address: "10.77.0.11"}, "node-2": {Address: "10.77.0.12"}}},
		Node: "node-1", Identity: filepath.Join(folder, "identity"), Peers: filepath.Join(folder, "peers"),
		Home: filepath.Join(folder, "home"), Log: slog.New(slog.DiscardHandler),
	}
	for _, name := range []string{p.Identity, p.Peers, p.Home} {
		require.NoError(t, os.Mkdir(name, 0o700))
	}
	newIdentity(t, p)
	write(t, filepath.Join(p.Peers, "apiKey"), "first & key\n")
	return p
}

// newIdentity puts another identity in the Secrets, consistently.
func newIdentity(t *testing.T, p syncthing.Preparation) {
	t.Helper()
	certificate, key, err := deviceidentity.New()
	require.NoError(t, err)
	write(t, filepath.Join(p.Identity, "cert.pem"), string(certificate))
	write(t, filepath.Join(p.Identity, "key.pem"), string(key))
	write(t, filepath.Join(p.Peers, "node-1"), string(deviceID(t, certificate))+"\n")
}

func TestPreparedHomeHasIdentityAndConfiguration(t *testing.T) {
	p := preparation(t)
	require.NoError(t, p.Run())
	for name, mode := range map[string]os.FileMode{"cert.pem": 0o644, "key.pem": 0o600, "config.xml": 0o600, "homecloud-state.json": 0o600} {
		info, err := os.Stat(filepath.Join(p.Home, name))
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode(), name)
	}
	configuration := readFile(t, filepath.Join(p.Home, "config.xml"))
	for _, want := range []string{
		`<apikey>first &amp; key</apikey>`, `<listenAddress>tcp://10.77.0.11:22000</listenAddress>`,
		`<urAccepted>-1</urAccepted>`, `<crashReportingEnabled>false</crashReportingEnabled>`, `<localAnnounceEnabled>true</localAnnounceEnabled>`,
	} {
		require.Contains(t, configuration, want)
	}
	require.NotContains(t, configuration, "<folder", "folders come when the disk has been looked at")
}

func TestPreparingAgainChangesOnlyTheKey(t *testing.T) {
	p := preparation(t)
	require.NoError(t, p.Run())
	path := filepath.Join(p.Home, "config.xml")
	migrated := strings.Replace(readFile(t, path), "</configuration>", `<folder id="home-photos" label="a &lt; b"/></configuration>`, 1)
	write(t, path, migrated)
	require.NoError(t, p.Run())
	require.Equal(t, migrated, readFile(t, path))
	write(t, filepath.Join(p.Peers, "apiKey"), "second<key")
	require.NoError(t, p.Run())
	require.Equal(t, strings.Replace(migrated, "first &amp; key", "second&lt;key", 1), readFile(t, path))
}

func TestEmptyKeyElementIsFilled(t *testing.T) {
	p := preparation(t)
	require.NoError(t, p.Run())
	path := filepath.Join(p.Home, "config.xml")
	full := readFile(t, path)
	write(t, path, strings.Replace(full, "<apikey>first &amp; key</apikey>", "<apikey/>", 1))
	require.NoError(t, p.Run())
	require.Equal(t, full, readFile(t, path))
}

func TestPreparationRefuses(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(t *testing.T, p *syncthing.Preparation)
		want  string
	}{
		{"another identity", func(t *testing.T, p *syncthing.Preparation) {
			require.NoError(t, p.Run())
			newIdentity(t, *p)
		}, "never given another identity"},
		{"another identity when the home lost its certificate", func(t *testing.T, p *syncthing.Preparation) {
			require.NoError(t, p.Run())
			require.NoError(t, os.Remove(filepath.Join(p.Home, "cert.pem")))
			newIdentity(t, *p)
		}, "never given another identity"},
		{"an empty identity", func(t *testing.T, p *syncthing.Preparation) {
			write(t, filepath.Join(p.Identity, "key.pem"), "\n")
		}, "missing or empty"},
		{"no identity", func(t *testing.T, p *syncthing.Preparation) {
			require.NoError(t, os.Remove(filepath.Join(p.Identity, "cert.pem")))
		}, "missing or empty"},
		{"the key of another node", func(t *testing.T, p *syncthing.Preparation) {
			_, key, err := deviceidentity.New()
			require.NoError(t, err)
			write(t, filepath.Join(p.Identity, "key.pem"), string(key))
		}, "not a pair"},
		{"an identity that the peers don't know", func(t *testing.T, p *syncthing.Preparation) {
			require.NoError(t, os.Remove(filepath.Join(p.Peers, "node-1")))
		}, "the peers would refuse it"},
		{"no API key", func(t *testing.T, p *syncthing.Preparation) {
			require.NoError(t, os.Remove(filepath.Join(p.Peers, "apiKey")))
		}, "has no apiKey"},
		{"two nodes with one identity", func(t *testing.T, p *syncthing.Preparation) {
			write(t, filepath.Join(p.Peers, "node-2"), readFile(t, filepath.Join(p.Peers, "node-1")))
		}, "have the same identity"},
		{"no home", func(t *testing.T, p *syncthing.Preparation) {
			require.NoError(t, os.Remove(p.Home))
		}, "no such file or directory"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := preparation(t)
			test.spoil(t, &p)
			require.ErrorContains(t, p.Run(), test.want)
		})
	}
}

func TestSettingsAreRefusedWithAllThatIsWrong(t *testing.T) {
	path := filepath.Join(t.TempDir(), "syncthing.json")
	write(t, path, `{"discovery":"moon","nodes":{"node-2":{"address":"10.77.0.12"}},"devices":{"phone":{"id":"ABC"}},
		"folders":{"../etc":{"id":"x"},"photos":{"id":"x","devices":["tablet"]},"music":{}}}`)
	_, err := syncthing.LoadSettings(path, "node-1")
	for _, want := range []string{
		"cluster and disk must be named", `node "node-1" has no address`, `discovery "moon"`, `share "../etc" can't be a folder's name`,
		`same folder id`, `unknown device "tablet"`, `share "music" has no folder id`, `device "phone"`,
	} {
		require.ErrorContains(t, err, want)
	}
	write(t, path, `{"surprise":1}`)
	_, err = syncthing.LoadSettings(path, "node-1")
	require.ErrorContains(t, err, `unknown field "surprise"`)
}

func deviceID(t *testing.T, certificate []byte) config.DeviceID {
	t.Helper()
	return config.NewDeviceID(der(t, certificate))
}
