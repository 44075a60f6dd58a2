package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tmorin/homecloud/test/cloud"
)

// phone is a Syncthing peer outside the cluster, configured as its owner would:
// through its own interface.
type phone struct {
	id     string
	home   string
	binary string
	key    string
	client *http.Client
}

// newPhone makes a phone's identity; it is not running yet.
func newPhone(t *testing.T, root string) *phone {
	t.Helper()
	// A short path: the interface is a Unix socket, whose path may have 107 bytes.
	home, err := os.MkdirTemp("", "phone-")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(home) })
	p := &phone{home: home, binary: filepath.Join(root, "bin", "syncthing")}
	output, err := exec.CommandContext(t.Context(), p.binary, "generate", "--home="+home, "--no-default-folder", "--skip-port-probing").CombinedOutput()
	require.NoError(t, err, "%s", output)
	id, err := exec.CommandContext(t.Context(), p.binary, "--home="+home, "--device-id").Output()
	require.NoError(t, err)
	p.id = strings.TrimSpace(string(id))

	var config struct {
		GUI struct {
			APIKey string `xml:"apikey"`
		} `xml:"gui"`
	}
	content, err := os.ReadFile(filepath.Join(home, "config.xml"))
	require.NoError(t, err)
	require.NoError(t, xml.Unmarshal(content, &config))
	p.key = config.GUI.APIKey
	p.client = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(home, "gui"))
	}}}
	return p
}

// start runs the phone on the family's network until the test ends.
func (p *phone) start(t *testing.T, c *cloud.Cloud) {
	t.Helper()
	command := c.Driver.LAN(context.WithoutCancel(t.Context()), p.binary, "serve", "--home="+p.home, "--no-browser", "--no-restart",
		"--no-upgrade", "--gui-address=unix://"+filepath.Join(p.home, "gui"))
	log, err := os.Create(filepath.Join(p.home, "log"))
	require.NoError(t, err)
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = syscall.Kill(-command.Process.Pid, syscall.SIGTERM)
		_ = command.Wait()
		log.Close()
		if t.Failed() {
			content, _ := os.ReadFile(log.Name())
			t.Logf("the phone said:\n%s", content)
		}
	})
	eventually(t, "the phone's interface answers", func(ctx context.Context) error {
		return p.call(ctx, http.MethodGet, "/rest/system/ping", nil, nil)
	})
	require.NoError(t, p.call(t.Context(), http.MethodPatch, "/rest/config/options", map[string]any{
		"globalAnnounceEnabled": false, "localAnnounceEnabled": false, "relaysEnabled": false, "natEnabled": false,
		"crashReportingEnabled": false, "urAccepted": -1, "reconnectionIntervalS": 5,
	}, nil))
}

// share makes the phone keep a folder together with the boards.
func (p *phone) share(t *testing.T, folder, path string, boards map[string]string) {
	t.Helper()
	devices := []map[string]any{{"deviceID": p.id}}
	for id, address := range boards {
		require.NoError(t, p.call(t.Context(), http.MethodPut, "/rest/config/devices/"+id, map[string]any{
			"deviceID": id, "addresses": []string{"tcp://" + address + ":22000"},
		}, nil))
		devices = append(devices, map[string]any{"deviceID": id})
	}
	require.NoError(t, p.call(t.Context(), http.MethodPut, "/rest/config/folders/"+folder, map[string]any{
		"id": folder, "path": path, "devices": devices, "fsWatcherEnabled": true, "fsWatcherDelayS": 1,
	}, nil))
}

func (p *phone) call(ctx context.Context, method, path string, body, answer any) error {
	content, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://phone"+path, bytes.NewReader(content))
	if err != nil {
		return err
	}
	request.Header.Set("X-API-Key", p.key)
	response, err := p.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s: %s", method, path, response.Status, text)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(text, answer)
}
