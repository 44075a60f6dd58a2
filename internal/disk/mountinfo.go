package disk

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// mountTable is the kernel's list of mounts as this process sees them: in a
// pod, those of the container.
const mountTable = "/proc/self/mountinfo"

// Mount is one line of the mount table.
type Mount struct {
	ID         int
	Point      string
	FileSystem string
	Source     string
}

// parseMounts reads a mount table (proc_pid_mountinfo(5)).
func parseMounts(table []byte) ([]Mount, error) {
	var mounts []Mount
	lines := bufio.NewScanner(bytes.NewReader(table))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		// Optional fields end with a hyphen of their own.
		separator := -1
		for i := 6; i < len(fields); i++ {
			if fields[i] == "-" {
				separator = i
				break
			}
		}
		if separator < 0 || len(fields) < separator+3 {
			return nil, fmt.Errorf("mount table: line without a file system: %q", lines.Text())
		}
		id, err := strconv.Atoi(fields[0])
		if err != nil {
			return nil, fmt.Errorf("mount table: line without an id: %q", lines.Text())
		}
		mounts = append(mounts, Mount{
			ID:         id,
			Point:      unescape(fields[4]),
			FileSystem: fields[separator+1],
			Source:     unescape(fields[separator+2]),
		})
	}
	return mounts, lines.Err()
}

// unescape undoes the kernel's \040 for a blank and its like.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if code, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				out.WriteByte(byte(code))
				i += 3
				continue
			}
		}
		out.WriteByte(s[i])
	}
	return out.String()
}

// mounts returns the mounts this process sees now.
func mounts() ([]Mount, error) {
	table, err := os.ReadFile(mountTable)
	if err != nil {
		return nil, fmt.Errorf("read the mount table: %w", err)
	}
	return parseMounts(table)
}

// lastAt returns the mount that a mount table lists last for a point: the
// one on top, as far as the table alone can tell.
func lastAt(mounts []Mount, point string) (Mount, bool) {
	for i := len(mounts) - 1; i >= 0; i-- {
		if mounts[i].Point == point {
			return mounts[i], true
		}
	}
	return Mount{}, false
}
