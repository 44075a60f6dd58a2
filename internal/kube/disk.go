package kube

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/tmorin/homecloud/internal/complaint"
)

// lackDisk says whether workloads wait for nothing but disks that aren't there,
// and in an error what that means for the boards.
func (c *Cluster) lackDisk(ctx context.Context, open []rollout) (lack error, only bool) {
	boards := map[string]string{} // why, by board
	others, updated := false, true
	for _, r := range open {
		if !r.observed {
			return nil, false
		}
		updated = updated && r.updated
		held := 0
		pods := c.pods(ctx, r)
		for _, pod := range pods {
			if podReady(&pod) {
				others = true
				continue
			}
			why := c.diskless(ctx, &pod)
			if why == "" {
				return nil, false
			}
			boards[place(&pod)] = why
			held++
		}
		if held == 0 || len(pods) < r.wanted {
			return nil, false
		}
	}
	var lines []string
	for _, board := range slices.Sorted(maps.Keys(boards)) {
		lines = append(lines, board+": "+boards[board])
	}
	goesOn := "bring it back, the board then goes on by itself"
	if len(lines) > 1 {
		goesOn = "bring them back, the boards then go on by themselves"
	}
	before := "not usable: "
	switch {
	case !updated:
		goesOn += ", and what the others run becomes new only then"
	case others:
		before = "done on the other boards; "
	}
	return errors.New(before + strings.Join(lines, "; ") + ": " + goesOn), true
}

// diskless is why a pod waits for a disk, when it waits for nothing else.
func (c *Cluster) diskless(ctx context.Context, pod *corev1.Pod) (why string) {
	for _, reason := range podReasons(pod) {
		if reason.container == "" || reason.previous {
			return ""
		}
		said := c.Complaints(ctx, pod, reason.container)
		i := slices.IndexFunc(said, func(s complaint.Complaint) bool {
			return s.About == complaint.Gate && strings.HasPrefix(s.Because, complaint.NoDisk)
		})
		if i < 0 {
			return ""
		}
		why = said[i].Because
	}
	return why
}
