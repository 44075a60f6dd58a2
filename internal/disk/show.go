package disk

import (
	"path/filepath"

	"github.com/tmorin/homecloud/internal/config"
)

// Show returns the sentinel of the disk mounted at a path, zero when it has
// none, and as an error what a gate that expects this disk would have against
// it. It writes nothing.
func Show(path string) (config.Sentinel, error) {
	mount, err := openMount(path)
	if err != nil {
		return config.Sentinel{}, err
	}
	existing, err := mount.existingSentinel()
	mount.Close()
	if err != nil {
		return config.Sentinel{}, err
	}
	var sentinel config.Sentinel
	if existing != nil {
		sentinel = *existing
	}
	clean := filepath.Clean(path)
	_, err = Expectation{Root: filepath.Dir(clean), Disk: filepath.Base(clean), Cluster: sentinel.Cluster}.Check()
	return sentinel, err
}
