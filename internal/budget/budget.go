// Package budget counts the memory and the processor that a cloud needs of each
// board: what was rendered for it, k3s, and the system. It neither renders nor
// asks a board, and judges memory alone: a processor that is asked too much is
// slow, while a board without memory ends what somebody is using.
package budget

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	"github.com/tmorin/homecloud/internal/chart"
	"github.com/tmorin/homecloud/internal/config"
)

// Budget is what a cloud needs, by board in the order of the cluster file.
type Budget struct {
	Boards []Board `json:"boards"`
	// Nowhere are parts that no board of the file may run.
	Nowhere []Part `json:"nowhere"`
}

// Verdict is whether a board has the memory that it needs.
type Verdict string

// The verdicts, from good to bad. Tight boards have what everything needs, not
// what everything together may take.
const (
	Fits     Verdict = "fits"
	Tight    Verdict = "tight"
	Unknown  Verdict = "unknown"
	TooSmall Verdict = "too small"
)

// Board is a node of the cluster file.
type Board struct {
	Name    string  `json:"name"`
	Role    string  `json:"role"`
	Memory  Bytes   `json:"memory"` // 0: not known
	Needs   Bytes   `json:"needs"`
	Most    Bytes   `json:"most"` // when everything takes what it may
	CPU     CPU     `json:"milliCPU"`
	Verdict Verdict `json:"verdict"`
	Parts   []Part  `json:"parts"`
}

// Part is something that takes memory on a board.
type Part struct {
	Name  string `json:"name"`
	Chart string `json:"chart,omitempty"` // the chart that it is of; empty: k3s or the system
	Needs Bytes  `json:"needs"`
	Most  Bytes  `json:"most"`
	CPU   CPU    `json:"milliCPU"`
	// Unlimited parts have a container that may take all there is; Most counts
	// what it needs.
	Unlimited bool `json:"unlimited"`
	// Elsewhere parts might run on another board too: see Count.
	Elsewhere bool `json:"elsewhere"`
	// Ends is set for jobs, which take it for a while.
	Ends bool `json:"ends"`
}

// String is the part with its chart.
func (p Part) String() string { return strings.TrimSpace(p.Chart + " " + p.Name) }

// Bytes is an amount of memory.
type Bytes int64

const (
	mebi Bytes = 1 << 20
	gibi Bytes = 1 << 30
)

// String is the amount for a person: 356 MiB, 1.98 GiB.
func (b Bytes) String() string {
	switch {
	case b < gibi:
		return fmt.Sprintf("%d MiB", (b+mebi/2)/mebi)
	case b%gibi == 0:
		return fmt.Sprintf("%d GiB", b/gibi)
	}
	return fmt.Sprintf("%.2f GiB", float64(b)/float64(gibi))
}

// CPU is an amount of processor, in thousandths of a core.
type CPU int64

// String is the amount in cores.
func (c CPU) String() string { return fmt.Sprintf("%.2f", float64(c)/1000) }

// Fits says whether every board whose memory is known has what it needs, and
// everything a board.
func (b *Budget) Fits() bool {
	return len(b.Nowhere) == 0 && !slices.ContainsFunc(b.Boards, func(board Board) bool { return board.Verdict == TooSmall })
}

// Lacks is what a board needs beyond what it has.
func (b Board) Lacks() Bytes {
	if b.Memory == 0 {
		return 0
	}
	return max(0, b.Needs-b.Memory)
}

// Balance says in words how a board stands.
func (b Board) Balance() string {
	needs := "needs " + b.Needs.String()
	if b.Memory == 0 {
		return needs + ", and what it has isn't known"
	}
	needs += " of " + b.Memory.String()
	switch {
	case b.Verdict == TooSmall:
		return needs + ": " + b.Lacks().String() + " too much"
	case b.Verdict == Tight && b.Most > b.Memory:
		return needs + ", and may take " + b.Most.String()
	case b.Verdict == Tight:
		return needs + ", and what has no limit may take the rest"
	}
	return needs + ": " + (b.Memory - b.Needs).String() + " left"
}

// Count adds up what the documents, rendered from the cluster file, need. What
// may run on one board alone is counted there. What may run on several is
// counted on the one of them with the most room left, the largest first, as the
// scheduler would; boards whose memory isn't known come after those with room.
func Count(cluster *config.Cluster, documents []chart.Document) (*Budget, error) {
	workloads, err := read(documents)
	if err != nil {
		return nil, err
	}
	budget := &Budget{Nowhere: []Part{}}
	etcd := len(servers(cluster)) > 1
	for _, node := range cluster.Nodes {
		board := Board{Name: node.Name, Role: node.Role, Memory: Bytes(node.Memory)}
		for _, part := range ownParts(node.Role, etcd) {
			board.add(part)
		}
		budget.Boards = append(budget.Boards, board)
	}
	nodes := kubernetesNodes(cluster)
	var floating []workload
	for _, w := range workloads {
		switch candidates := w.candidates(nodes); {
		case len(candidates) == 0:
			if w.perBoard {
				break // a daemon that no board is meant for
			}
			budget.Nowhere = append(budget.Nowhere, w.part)
		case w.perBoard:
			for _, i := range candidates {
				budget.Boards[i].add(w.part)
			}
		case len(candidates) == 1:
			for range w.replicas {
				budget.Boards[candidates[0]].add(w.part)
			}
		default:
			w.part.Elsewhere = true
			floating = append(floating, w)
		}
	}
	slices.SortStableFunc(floating, func(a, b workload) int { return cmp.Compare(b.part.Needs, a.part.Needs) })
	for _, w := range floating {
		for range w.replicas {
			budget.Boards[budget.roomiest(w.candidates(nodes), w.part.Needs)].add(w.part)
		}
	}
	for i := range budget.Boards {
		budget.Boards[i].judge()
	}
	return budget, nil
}

func servers(cluster *config.Cluster) (names []string) {
	for _, node := range cluster.Nodes {
		if node.Role == config.RoleServer {
			names = append(names, node.Name)
		}
	}
	return names
}

// roomiest is the candidate where something floating is counted.
func (b *Budget) roomiest(candidates []int, needs Bytes) int {
	rank := func(i int) int {
		switch board := b.Boards[i]; {
		case board.Memory == 0:
			return 1
		case board.Memory-board.Needs >= needs:
			return 0
		}
		return 2
	}
	return slices.MinFunc(candidates, func(i, k int) int {
		left := func(i int) Bytes { return b.Boards[i].Memory - b.Boards[i].Needs }
		return cmp.Or(cmp.Compare(rank(i), rank(k)), cmp.Compare(left(k), left(i)), cmp.Compare(i, k))
	})
}

// add counts a part; several of one are one line.
func (b *Board) add(part Part) {
	b.Needs += part.Needs
	b.Most += part.Most
	b.CPU += part.CPU
	i := slices.IndexFunc(b.Parts, func(p Part) bool { return p.Name == part.Name && p.Chart == part.Chart })
	if i < 0 {
		b.Parts = append(b.Parts, part)
		return
	}
	b.Parts[i].Needs += part.Needs
	b.Parts[i].Most += part.Most
	b.Parts[i].CPU += part.CPU
}

func (b *Board) judge() {
	switch {
	case b.Memory == 0:
		b.Verdict = Unknown
	case b.Needs > b.Memory:
		b.Verdict = TooSmall
	case b.Most > b.Memory || slices.ContainsFunc(b.Parts, func(p Part) bool { return p.Unlimited }):
		b.Verdict = Tight
	default:
		b.Verdict = Fits
	}
	slices.SortStableFunc(b.Parts, func(x, y Part) int {
		own := func(p Part) int { return strings.Compare(p.Chart, "") } // k3s and the system stay first
		if own(x) == 0 || own(y) == 0 {
			return cmp.Compare(own(x), own(y))
		}
		return cmp.Or(cmp.Compare(y.Needs, x.Needs), strings.Compare(x.Chart, y.Chart), strings.Compare(x.Name, y.Name))
	})
}

// kubernetesNodes are the boards as the scheduler sees them: with the labels
// that the kubelet, k3s and hostprep set. A board whose processor isn't known
// may be either.
func kubernetesNodes(cluster *config.Cluster) [][]*corev1.Node {
	var nodes [][]*corev1.Node
	for _, node := range cluster.Nodes {
		labels := map[string]string{corev1.LabelHostname: node.Name, corev1.LabelOSStable: "linux"}
		if slices.Contains(cluster.DNAS.Nodes, node.Name) {
			labels[config.NodeLabel] = "true"
		}
		if node.Role == config.RoleServer {
			labels["node-role.kubernetes.io/control-plane"] = "true"
		}
		processors := []string{node.Arch}
		if node.Arch == "" {
			processors = []string{"arm64", "amd64"}
		}
		var either []*corev1.Node
		for _, processor := range processors {
			labels := maps.Clone(labels)
			labels[corev1.LabelArchStable] = processor
			either = append(either, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node.Name, Labels: labels}})
		}
		nodes = append(nodes, either)
	}
	return nodes
}

// candidates are the boards that a workload may run on. Taints say nothing: k3s
// sets none.
func (w workload) candidates(nodes [][]*corev1.Node) (found []int) {
	required := nodeaffinity.GetRequiredNodeAffinity(&corev1.Pod{Spec: w.pod})
	for i, either := range nodes {
		if slices.ContainsFunc(either, func(node *corev1.Node) bool {
			match, err := required.Match(node)
			return err == nil && match && (w.pod.NodeName == "" || w.pod.NodeName == node.Name)
		}) {
			found = append(found, i)
		}
	}
	return found
}
