package syncthing

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/tmorin/homecloud/internal/config"
)

// object is something of Syncthing's configuration with all of its fields,
// also those that this release doesn't know.
type object = map[string]any

// Client talks to a Syncthing's REST interface on its Unix socket.
type Client struct {
	http   *http.Client
	apiKey string
}

// requestLimit bounds one request: changing a folder's configuration waits
// for its running scan.
const requestLimit = time.Minute

var errNotFound = errors.New("not found")

// NewClient makes a client; it connects when it is used.
func NewClient(socket, apiKey string) *Client {
	return &Client{apiKey: apiKey, http: &http.Client{
		Timeout: requestLimit,
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				var dialer net.Dialer
				return dialer.DialContext(ctx, "unix", socket)
			},
			MaxIdleConns: 1,
			// Syncthing is restarted with the disk; an idle connection to the
			// last one is of no use.
			IdleConnTimeout: 15 * time.Second,
		},
	}}
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

func (c *Client) do(ctx context.Context, method, path string, body, answer any) error {
	var content io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("syncthing: %s %s: %w", method, path, err)
		}
		content = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://syncthing"+path, content)
	if err != nil {
		return fmt.Errorf("syncthing: %w", err)
	}
	request.Header.Set("X-API-Key", c.apiKey)
	response, err := c.http.Do(request)
	if err != nil {
		var reason *url.Error
		if errors.As(err, &reason) {
			err = reason.Err // without the made-up address
		}
		return fmt.Errorf("syncthing doesn't answer: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode >= 300 {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 500))
		if response.StatusCode == http.StatusNotFound {
			return fmt.Errorf("syncthing: %s: %w", path, errNotFound)
		}
		if response.StatusCode == http.StatusForbidden {
			return errors.New("syncthing refuses the API key; it takes a new one when its pod starts anew")
		}
		return fmt.Errorf("syncthing: %s %s: %s: %s", method, path, response.Status, bytes.TrimSpace(text))
	}
	if answer == nil {
		return nil
	}
	if err := json.NewDecoder(response.Body).Decode(answer); err != nil {
		return fmt.Errorf("syncthing: %s %s: %w", method, path, err)
	}
	return nil
}

// self is the Syncthing that answers.
type self struct {
	MyID      config.DeviceID
	StartTime time.Time
}

func (c *Client) self(ctx context.Context) (self, error) {
	var s self
	return s, c.do(ctx, http.MethodGet, "/rest/system/status", nil, &s)
}

// running is the part of Syncthing's configuration that we set.
type running struct {
	Devices  []object `json:"devices"`
	Folders  []object `json:"folders"`
	Options  object   `json:"options"`
	Defaults struct {
		Device object `json:"device"`
		Folder object `json:"folder"`
	} `json:"defaults"`
}

func (c *Client) config(ctx context.Context) (running, error) {
	var r running
	return r, c.do(ctx, http.MethodGet, "/rest/config", nil, &r)
}

func (c *Client) putDevice(ctx context.Context, device object) error {
	return c.do(ctx, http.MethodPut, "/rest/config/devices/"+text(device, "deviceID"), device, nil)
}

func (c *Client) deleteDevice(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodDelete, "/rest/config/devices/"+url.PathEscape(id), nil, nil)
}

func (c *Client) putFolder(ctx context.Context, folder object) error {
	return c.do(ctx, http.MethodPut, "/rest/config/folders/"+url.PathEscape(text(folder, "id")), folder, nil)
}

// deleteFolder also drops what Syncthing's database knows of the folder. What
// the folder holds stays.
func (c *Client) deleteFolder(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodDelete, "/rest/config/folders/"+url.PathEscape(id), nil, nil)
}

func (c *Client) patchOptions(ctx context.Context, options object) error {
	return c.do(ctx, http.MethodPatch, "/rest/config/options", options, nil)
}

// restartIfRequired asks Syncthing to end when an option needs it; its gate
// or its pod starts it again.
func (c *Client) restartIfRequired(ctx context.Context) (bool, error) {
	var answer struct{ RequiresRestart bool }
	if err := c.do(ctx, http.MethodGet, "/rest/config/restart-required", nil, &answer); err != nil || !answer.RequiresRestart {
		return false, err
	}
	return true, c.do(ctx, http.MethodPost, "/rest/system/restart", nil, nil)
}

// scan looks at a folder, or only at some paths in it, and returns when the
// index has what was found.
func (c *Client) scan(ctx context.Context, folder string, paths ...string) error {
	return c.do(ctx, http.MethodPost, "/rest/db/scan?"+url.Values{"folder": {folder}, "sub": paths}.Encode(), nil, nil)
}

// beginScan tells Syncthing to look at a folder and doesn't wait for the end of
// a long look.
func (c *Client) beginScan(ctx context.Context, folder string) error {
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := c.scan(short, folder); err != nil && short.Err() == nil {
		return err
	}
	return ctx.Err()
}

// lastScan is when a folder was looked at last from end to end and without an
// error.
func (c *Client) lastScan(ctx context.Context, folder string) (time.Time, error) {
	var folders map[string]struct{ LastScan time.Time }
	err := c.do(ctx, http.MethodGet, "/rest/stats/folder", nil, &folders)
	return folders[folder].LastScan, err
}

// entry is a file, folder or link in the index.
type entry struct {
	Name       string
	Type       string // see fileType, folderType; others are links
	Size       int64
	Modified   time.Time
	Deleted    bool
	Invalid    bool // not to be had: nobody is offered it
	NumBlocks  int64
	BlocksHash []byte // of the hashes of all blocks
}

const (
	fileType   = "FILE_INFO_TYPE_FILE"
	folderType = "FILE_INFO_TYPE_DIRECTORY"
)

// exists says whether an entry is something that can be had.
func (e entry) exists() bool { return e.Name != "" && !e.Deleted && !e.Invalid }

// entries is what the index knows of one name.
type entries struct {
	Local  entry // zero: nothing
	Global entry // what is valid in the cluster; zero: nothing
	// Availability lists the connected devices that have Global.
	Availability []struct{}
}

func (c *Client) entries(ctx context.Context, folder, name string) (entries, error) {
	var e entries
	err := c.do(ctx, http.MethodGet, "/rest/db/file?"+url.Values{"folder": {folder}, "file": {name}}.Encode(), nil, &e)
	if errors.Is(err, errNotFound) {
		return entries{}, nil
	}
	return e, err
}

// localChanges lists what differs in a receiving folder from what the others
// have: what was changed or added here, and, marked as deleted, what is
// missing here.
func (c *Client) localChanges(ctx context.Context, folder string, found func(entry)) error {
	const portion = 2_000
	for page := 1; ; page++ {
		var answer struct{ Files []entry }
		query := url.Values{"folder": {folder}, "page": {strconv.Itoa(page)}, "perpage": {strconv.Itoa(portion)}}
		if err := c.do(ctx, http.MethodGet, "/rest/db/localchanged?"+query.Encode(), nil, &answer); err != nil {
			return err
		}
		for _, change := range answer.Files {
			found(change)
		}
		if len(answer.Files) < portion {
			return nil
		}
	}
}

// revert makes the others' version the valid one of everything that
// localChanges lists, and deletes what they don't have. It returns before that
// is done.
func (c *Client) revert(ctx context.Context, folder string) error {
	return c.do(ctx, http.MethodPost, "/rest/db/revert?folder="+url.QueryEscape(folder), nil, nil)
}

// FolderStatus is how a folder is doing here.
type FolderStatus struct {
	State          string `json:"state"`
	Error          string `json:"error"`
	NeedBytes      int64  `json:"needBytes"`
	NeedTotalItems int64  `json:"needTotalItems"`
	// ReceiveOnlyTotalItems counts what isn't announced, because the folder only
	// receives.
	ReceiveOnlyTotalItems int64 `json:"receiveOnlyTotalItems"`
	// Errors counts what couldn't be fetched, and what couldn't be read here.
	Errors int64 `json:"errors"`
}

// Folder returns how a folder is doing here.
func (c *Client) Folder(ctx context.Context, id string) (FolderStatus, error) {
	var s FolderStatus
	return s, c.do(ctx, http.MethodGet, "/rest/db/status?folder="+url.QueryEscape(id), nil, &s)
}

// firstError is one of the errors that a folder's status counts, with its place.
func (c *Client) firstError(ctx context.Context, id string) (string, error) {
	var answer struct {
		Errors []struct{ Path, Error string }
	}
	err := c.do(ctx, http.MethodGet, "/rest/folder/errors?"+url.Values{"folder": {id}, "perpage": {"1"}}.Encode(), nil, &answer)
	if err != nil || len(answer.Errors) == 0 {
		return "", err
	}
	return fmt.Sprintf("%q: %s", answer.Errors[0].Path, answer.Errors[0].Error), nil
}

// Completion is how much of a folder another device has.
type Completion struct {
	Completion  float64 `json:"completion"`
	NeedItems   int64   `json:"needItems"`
	NeedDeletes int64   `json:"needDeletes"`
	Sequence    int64   `json:"sequence"`    // of the last change the device told of
	RemoteState string  `json:"remoteState"` // valid: the device has the folder, too
}

func (c *Client) completion(ctx context.Context, folder string, device config.DeviceID) (Completion, error) {
	var s Completion
	return s, c.do(ctx, http.MethodGet, "/rest/db/completion?folder="+url.QueryEscape(folder)+"&device="+string(device), nil, &s)
}

// connected returns which devices are connected now.
func (c *Client) connected(ctx context.Context) (map[config.DeviceID]bool, error) {
	var answer struct {
		Connections map[config.DeviceID]struct{ Connected bool }
	}
	if err := c.do(ctx, http.MethodGet, "/rest/system/connections", nil, &answer); err != nil {
		return nil, err
	}
	connected := map[config.DeviceID]bool{}
	for id, connection := range answer.Connections {
		connected[id] = connection.Connected
	}
	return connected, nil
}

// Folders returns the ids of the configured folders.
func (c *Client) Folders(ctx context.Context) ([]string, error) {
	r, err := c.config(ctx)
	ids := make([]string, 0, len(r.Folders))
	for _, folder := range r.Folders {
		ids = append(ids, text(folder, "id"))
	}
	return ids, err
}

// text returns a field that is text.
func text(o object, field string) string {
	value, _ := o[field].(string)
	return value
}
