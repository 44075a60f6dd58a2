package syncthing

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"

	"github.com/tmorin/homecloud/internal/config"
)

// merged returns an object with the wanted fields, and whether that changes
// it. Everything else stays as Syncthing, or a person, has set it.
func merged(current, wanted object) (object, bool) {
	result, changed := maps.Clone(current), false
	if result == nil {
		result = object{}
	}
	for field, value := range wanted {
		if !reflect.DeepEqual(result[field], value) {
			result[field], changed = value, true
		}
	}
	return result, changed
}

// byField finds an object in a list.
func byField(list []object, field, value string) (object, bool) {
	i := slices.IndexFunc(list, func(o object) bool { return text(o, field) == value })
	if i < 0 {
		return nil, false
	}
	return list[i], true
}

// devices are all that Syncthing may talk to, this node included, by ID. They are
// paused while a share is settled.
func (s Settings) devices(node string, peers Peers, settling bool) map[config.DeviceID]object {
	wanted := map[config.DeviceID]object{}
	for _, name := range sortedKeys(s.Devices) {
		id, err := config.ParseDeviceID(s.Devices[name].ID)
		if err != nil {
			continue // refused when the settings were read
		}
		wanted[id] = object{"deviceID": string(id), "name": name, "addresses": list("dynamic"),
			"introducer": false, "autoAcceptFolders": false}
	}
	for name, id := range peers.IDs {
		wanted[id] = object{"deviceID": string(id), "name": name,
			"addresses":  list(fmt.Sprintf("tcp://%s:%d", s.Nodes[name].Address, s.ListenPort)),
			"introducer": false, "autoAcceptFolders": false}
	}
	for id, device := range wanted {
		device["paused"] = settling && id != peers.IDs[node]
	}
	return wanted
}

// folder is a share as Syncthing shall have it. current is what it has.
func (s Settings) folder(share string, peers Peers, memory shareState, current object) object {
	settings := s.Folders[share]
	wanted := object{
		"id":               settings.ID,
		"label":            share,
		"path":             s.SharePath(share),
		"type":             "sendreceive",
		"paused":           false,
		"devices":          s.folderDevices(settings, peers, current),
		"markerName":       markerName(memory.Generation),
		"ignorePerms":      true, // the doors' masks decide, not who was first
		"rescanIntervalS":  3600.0,
		"fsWatcherEnabled": true,
		"fsWatcherDelayS":  s.WatcherDelaySeconds,
		"maxConflicts":     -1.0, // every version stays, however often people collide
		"versioning":       versioning(settings.VersionsDays, current),
	}
	switch {
	case memory.Settling:
		maps.Copy(wanted, quiet)
	case memory.Receiving:
		wanted["type"] = quiet["type"]
	}
	return wanted
}

func (s Settings) folderDevices(settings FolderSettings, peers Peers, current object) []any {
	ids := map[string]bool{}
	for _, id := range peers.IDs {
		ids[string(id)] = true
	}
	for _, name := range settings.Devices {
		if id, err := config.ParseDeviceID(s.Devices[name].ID); err == nil {
			ids[string(id)] = true
		}
	}
	// What is there keeps its place and its other fields: a different order
	// would look like a change.
	var devices []any
	existing, _ := current["devices"].([]any)
	for _, entry := range existing {
		device, _ := entry.(object)
		if id := text(device, "deviceID"); ids[id] {
			devices = append(devices, device)
			delete(ids, id)
		}
	}
	for _, id := range sortedKeys(ids) {
		devices = append(devices, object{"deviceID": id, "introducedBy": "", "encryptionPassword": ""})
	}
	return devices
}

// versioning keeps what a peer replaced or deleted, ever fewer with age.
func versioning(days int, current object) object {
	existing, _ := current["versioning"].(object)
	wanted := object{"type": "", "params": object{}}
	if days > 0 {
		wanted = object{"type": "staggered", "params": object{"maxAge": strconv.Itoa(days * 24 * 60 * 60)}}
	}
	result, _ := merged(existing, wanted)
	return result
}

func list(texts ...string) []any {
	result := make([]any, 0, len(texts))
	for _, t := range texts {
		result = append(result, t)
	}
	return result
}

// optionsObject is what to set by REST.
func (s Settings) optionsObject(node string) object {
	wanted := object{}
	for _, option := range s.options(node) {
		if texts, ok := option.value.([]string); ok {
			wanted[option.json] = list(texts...)
			continue
		}
		wanted[option.json] = option.value
	}
	return wanted
}
