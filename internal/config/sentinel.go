package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// SentinelVersion is the version that this release writes.
const SentinelVersion = 1

// Sentinel is the content of SentinelFile: whose disk it is. Node is
// information only, so that a disk may move to another board.
type Sentinel struct {
	Version    int    `json:"version"`
	Cluster    string `json:"cluster"`
	Disk       string `json:"disk"`
	UUID       string `json:"uuid"`
	Generation string `json:"generation"`
	Node       string `json:"node"`
}

// sentinelLimit bounds what is read from a disk that may be anybody's.
const sentinelLimit = 4096

// ParseSentinel reads a sentinel. A field that this version does not know is
// refused: the gate must not trust a disk that it understands by half.
func ParseSentinel(content []byte) (Sentinel, error) {
	if len(content) > sentinelLimit {
		return Sentinel{}, fmt.Errorf("sentinel has more than %d bytes", sentinelLimit)
	}
	var version struct{ Version int }
	if err := json.Unmarshal(content, &version); err != nil {
		return Sentinel{}, fmt.Errorf("sentinel is not JSON: %w", err)
	}
	if version.Version != SentinelVersion {
		return Sentinel{}, fmt.Errorf("sentinel has version %d, this release knows version %d", version.Version, SentinelVersion)
	}
	var s Sentinel
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&s); err != nil {
		return Sentinel{}, fmt.Errorf("sentinel: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return Sentinel{}, errors.New("sentinel: more than one JSON value")
	}
	for name, value := range map[string]string{
		"cluster": s.Cluster, "disk": s.Disk, "uuid": s.UUID, "generation": s.Generation,
	} {
		if value == "" {
			return Sentinel{}, fmt.Errorf("sentinel: %s is missing", name)
		}
	}
	return s, nil
}

// Encode is the sentinel's text, one line of JSON.
func (s Sentinel) Encode() []byte {
	content, err := json.Marshal(s)
	if err != nil { // strings and an int always marshal
		panic(err)
	}
	return append(content, '\n')
}

// Same says whether both name the same disk in the same generation, whichever
// board holds it.
func (s Sentinel) Same(other Sentinel) bool {
	return s.Cluster == other.Cluster && s.Disk == other.Disk &&
		s.UUID == other.UUID && s.Generation == other.Generation
}
