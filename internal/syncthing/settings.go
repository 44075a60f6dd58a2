package syncthing

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/mounted"
)

// Settings is what the chart says about Syncthing, the same on every node.
type Settings struct {
	Cluster    string `json:"cluster"`
	DataRoot   string `json:"dataRoot"`
	Disk       string `json:"disk"`
	ListenPort int    `json:"listenPort"`
	// AccountPort is where each node tells the others what it has; 0: none does.
	AccountPort int                       `json:"accountPort"`
	Discovery   string                    `json:"discovery"` // lan, internet or none
	Owner       Owner                     `json:"owner"`
	Nodes       map[string]NodeSettings   `json:"nodes"`
	Devices     map[string]DeviceSettings `json:"devices"`
	Folders     map[string]FolderSettings `json:"folders"` // by share

	// WatcherDelaySeconds is how long a folder must be quiet before a change
	// is sent on; 1 by default.
	WatcherDelaySeconds float64 `json:"watcherDelaySeconds"`
}

// Owner owns every file of a share.
type Owner struct {
	UID int `json:"uid"`
	GID int `json:"gid"`
}

// NodeSettings is a node of the cluster that holds the shares.
type NodeSettings struct {
	Address string `json:"address"`
}

// DeviceSettings is a Syncthing device outside of the cluster.
type DeviceSettings struct {
	ID string `json:"id"`
}

// FolderSettings is a share.
type FolderSettings struct {
	ID           string   `json:"id"`
	Devices      []string `json:"devices"` // besides the nodes
	VersionsDays int      `json:"versionsDays"`
}

// LoadSettings reads and checks the settings for one node.
func LoadSettings(path, node string) (Settings, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return Settings{}, fmt.Errorf("syncthing: %w", err)
	}
	s := Settings{ListenPort: config.PortSyncthing, AccountPort: config.PortAccounts, Discovery: "lan", DataRoot: config.DataRoot, WatcherDelaySeconds: 1}
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&s); err != nil {
		return Settings{}, fmt.Errorf("syncthing: %s: %w", path, err)
	}
	if err := s.validate(node); err != nil {
		return Settings{}, fmt.Errorf("syncthing: %s: %w", path, err)
	}
	return s, nil
}

func (s Settings) validate(node string) error {
	var problems []error
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if s.Cluster == "" || s.Disk == "" {
		problem("cluster and disk must be named")
	}
	if s.Nodes[node].Address == "" {
		problem("node %q has no address", node)
	}
	if !slices.Contains([]string{"lan", "internet", "none"}, s.Discovery) {
		problem("discovery %q: lan, internet or none", s.Discovery)
	}
	ids := map[string]string{}
	for _, share := range slices.Sorted(maps.Keys(s.Folders)) {
		folder := s.Folders[share]
		if share != filepath.Base(share) || strings.HasPrefix(share, ".") {
			problem("share %q can't be a folder's name", share)
		}
		if folder.ID == "" {
			problem("share %q has no folder id", share)
		}
		if other, taken := ids[folder.ID]; taken {
			problem("shares %q and %q have the same folder id", other, share)
		}
		ids[folder.ID] = share
		for _, device := range folder.Devices {
			if _, known := s.Devices[device]; !known {
				problem("share %q goes to an unknown device %q", share, device)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Devices)) {
		if _, err := config.ParseDeviceID(s.Devices[name].ID); err != nil {
			problem("device %q: its ID %w", name, err)
		}
	}
	return errors.Join(problems...)
}

// SharePath is where a share lies.
func (s Settings) SharePath(share string) string {
	return filepath.Join(s.DataRoot, s.Disk, config.SharesDirectory, share)
}

// apiKeyName is the key of the REST interface among the peers.
const apiKeyName = "apiKey"

// Peers is what nodes must know of each other, and the key of the REST
// interface; from a Secret.
type Peers struct {
	IDs    map[string]config.DeviceID
	APIKey string
}

// LoadPeers reads a mounted Secret. Nodes it doesn't name are missing from
// the result.
func LoadPeers(folder string, nodes map[string]NodeSettings) (Peers, error) {
	files, err := mounted.Read(folder)
	if err != nil {
		return Peers{}, fmt.Errorf("syncthing: %w", err)
	}
	peers := Peers{IDs: map[string]config.DeviceID{}, APIKey: strings.TrimSpace(string(files[apiKeyName]))}
	if peers.APIKey == "" {
		return Peers{}, fmt.Errorf("syncthing: %s has no %s", folder, apiKeyName)
	}
	owners := map[config.DeviceID]string{}
	for _, node := range slices.Sorted(maps.Keys(nodes)) {
		content, found := files[node]
		if !found {
			continue
		}
		id, err := config.ParseDeviceID(strings.TrimSpace(string(content)))
		if err != nil {
			return Peers{}, fmt.Errorf("syncthing: %s: the device ID of %s %w", folder, node, err)
		}
		if other, taken := owners[id]; taken {
			return Peers{}, fmt.Errorf("syncthing: %s: %s and %s have the same identity", folder, other, node)
		}
		owners[id] = node
		peers.IDs[node] = id
	}
	return peers, nil
}

// sortedKeys keeps what is computed from a map the same at each run.
func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
