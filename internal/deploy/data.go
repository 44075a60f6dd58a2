package deploy

import (
	"errors"
	"fmt"
	"strconv"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/tmorin/homecloud/internal/chart"
	"github.com/tmorin/homecloud/internal/cloud"
	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/values"
)

// sameData refuses a file under which no board could use the disk that it has:
// disks keep their names and files their owners whatever the file says.
func (u *Up) sameData(releases []cloud.Release) error {
	if u.MoveData {
		return nil
	}
	for _, r := range releases {
		if r.Name != config.Release || !r.On {
			continue
		}
		installed, err := chart.Open(u.Kube.RESTGetter(r.Namespace), r.Namespace, debugLog)
		if err != nil {
			return err
		}
		had, err := installed.Value(r.Name, values.ChartDNAS)
		if err != nil {
			return err
		}
		defaults, err := r.Chart.AllValues()
		if err != nil {
			return err
		}
		was, _ := had.(map[string]any)
		is, _ := values.Merge(defaults, r.Values)[values.ChartDNAS].(map[string]any)
		return movedData(was, is)
	}
	return nil
}

// movedData says why the boards couldn't use their disks with the wanted values
// of the NAS, if they served with the installed ones.
func movedData(installed, wanted map[string]any) error {
	if !servesData(installed) || !servesData(wanted) {
		return nil
	}
	var errs []error
	for _, field := range []struct {
		line  string // the first is what is installed, the second what is wanted
		value func(nas map[string]any) string
	}{
		{"the installed cloud serves the disk %s, the file's %s: a disk of another name is another disk, and no share would be served; " +
			"write %[1]s again, for dnas.disk and the disk's name, or prepare a disk %[2]s on every board and go by hcchart upgrade, which says what to accept", diskOf},
		{"the installed cloud's disks are mounted below %s, the values say %s: no share would be served; " +
			"write %[1]s again, or mount them below %[2]s on every board and go by hcchart upgrade, which says what to accept", rootOf},
		{"the installed cloud's files belong to %s (uid:gid), dnas.owner of the file is %s: they don't change their owner by themselves, and no board could write them; " +
			"write %[1]s again, or give the files on every board to %[2]s and go by hcchart upgrade, which says what to accept", ownerOf},
	} {
		if was, is := field.value(installed), field.value(wanted); was != is {
			errs = append(errs, fmt.Errorf(field.line, was, is))
		}
	}
	return errors.Join(errs...)
}

// servesData says whether a NAS with these values has any share on a disk.
func servesData(nas map[string]any) bool {
	nodes, _ := nas["nodes"].(map[string]any)
	shares, _ := nas["shares"].(map[string]any)
	return nas["enabled"] != false && len(nodes) > 0 && len(shares) > 0
}

func diskOf(nas map[string]any) string { return fmt.Sprint(nas["disk"]) }

func rootOf(nas map[string]any) string { return fmt.Sprint(nas["dataRoot"]) }

// ownerOf is such as 2000:2000.
func ownerOf(nas map[string]any) string {
	id := func(field string) string {
		value, _, _ := unstructured.NestedFieldNoCopy(nas, "owner", field)
		if n, is := value.(float64); is { // as Helm reads a release
			return strconv.FormatInt(int64(n), 10)
		}
		return fmt.Sprint(value)
	}
	return id("uid") + ":" + id("gid")
}
