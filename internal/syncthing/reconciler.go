package syncthing

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/tmorin/homecloud/internal/complaint"
	"github.com/tmorin/homecloud/internal/disk"
	"github.com/tmorin/homecloud/internal/mounted"
)

// Reconciler keeps a running Syncthing as the settings say, for as long as it
// runs. It follows the mounted files, the disk and Syncthing itself.
type Reconciler struct {
	Config string // file: Settings
	Node   string // this node
	Peers  string // folder: a mounted Secret, see Peers
	Socket string // of Syncthing's REST interface
	Home   string // of Syncthing; our own memory lies there, too
	Log    *slog.Logger

	// Look is the time between two looks at the mounted files, 2 s by default.
	Look time.Duration
	// Steady is the time between two looks at a Syncthing that was as wanted,
	// 30 s by default. Otherwise it is looked at every time.
	Steady time.Duration
	// Patience is how long a share that receives waits for files that can't be
	// fetched, and for a node that gives no account and tells nothing new; and how
	// long one that can't be settled waits until it is tried again; 10 minutes by
	// default.
	Patience time.Duration
	// Silence is how long what should happen at once may take: what the others have
	// to arrive, a paused device to go; and half the time for which a share may fail
	// to be settled. 30 s by default.
	Silence time.Duration

	disk       disk.Expectation
	receptions map[string]*reception
	failures   map[string]failure   // of shares that can't be settled
	settled    map[string]time.Time // when a share was
	reunited   map[string]time.Time // when a settled share knew all of another node first
	looked     map[string]time.Time // since when a scan of a share that is settled counts; zero: since Syncthing's start
	clinging   time.Time            // since when a paused device is connected; zero: none is
	// firstScan is the last scan of a share when a Syncthing was seen first that
	// settles it.
	firstScan map[string]time.Time
	started   time.Time            // of the Syncthing that answered last
	begun     map[string]time.Time // since when it has a folder; zero: it has been looked at again
	told      map[string]string    // problems as said last

	// failpoint is where tests interrupt.
	failpoint func(place string) error
}

// Run reconciles until ctx ends.
func (r *Reconciler) Run(ctx context.Context) error {
	if r.Look == 0 {
		r.Look = 2 * time.Second
	}
	if r.Steady == 0 {
		r.Steady = 30 * time.Second
	}
	if r.Silence == 0 {
		r.Silence = 30 * time.Second
	}
	if r.Patience == 0 {
		r.Patience = 10 * time.Minute
	}
	r.receptions, r.told = map[string]*reception{}, map[string]string{}
	if r.failpoint == nil {
		r.failpoint = func(string) error { return nil }
	}
	r.reunited = map[string]time.Time{}
	r.firstScan = map[string]time.Time{}
	r.failures, r.settled, r.looked = map[string]failure{}, map[string]time.Time{}, map[string]time.Time{}
	settings, err := LoadSettings(r.Config, r.Node)
	if err != nil {
		return err
	}
	r.disk = disk.Expectation{Root: settings.DataRoot, Disk: settings.Disk, Cluster: settings.Cluster}

	ctx, cancel := context.WithCancel(ctx)
	verdicts := make(chan disk.Verdict, 16)
	watched := make(chan error, 1)
	go func() {
		watched <- disk.NewWatch(r.disk, r.Log).Run(ctx, func(v disk.Verdict) {
			select {
			case verdicts <- v:
			case <-ctx.Done():
			}
		})
	}()
	defer func() {
		cancel()
		<-watched
	}()

	if settings.AccountPort != 0 {
		go r.keepGivingAccounts(ctx, net.JoinHostPort(settings.Nodes[r.Node].Address, strconv.Itoa(settings.AccountPort)))
	}

	ticker := time.NewTicker(r.Look)
	defer ticker.Stop()
	var verdict disk.Verdict
	var seen string
	var last time.Time
	asWanted := false
	for {
		changed := false
		select {
		case <-ctx.Done():
			return nil
		case err := <-watched:
			watched <- err
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("syncthing: the disk is no longer seen: %w", err)
		case verdict = <-verdicts:
			changed, r.failures = true, map[string]failure{}
			r.tell("disk", verdict.Reason)
		case <-ticker.C:
		}
		if now := r.fingerprint(); now != seen {
			seen, changed = now, true
		}
		if changed || !asWanted || time.Since(last) >= r.Steady {
			last = time.Now()
			asWanted = r.once(ctx, verdict)
		}
	}
}

// once makes one pass and says whether everything is as wanted.
func (r *Reconciler) once(ctx context.Context, verdict disk.Verdict) bool {
	problem := func(err error) bool {
		if ctx.Err() == nil {
			r.tell("all", err.Error())
		}
		return false
	}
	settings, err := LoadSettings(r.Config, r.Node)
	if err != nil {
		return problem(err)
	}
	if moved := (disk.Expectation{Root: settings.DataRoot, Disk: settings.Disk, Cluster: settings.Cluster}); moved.Path() != r.disk.Path() || moved.Cluster != r.disk.Cluster {
		return problem(fmt.Errorf("syncthing: the settings name another disk (%s of %s); the pod must start anew for that", moved.Path(), moved.Cluster))
	}
	peers, err := LoadPeers(r.Peers, settings.Nodes)
	if err != nil {
		return problem(err)
	}
	if !verdict.Open {
		// Its gate doesn't let Syncthing run either.
		return true
	}
	for _, node := range sortedKeys(settings.Nodes) {
		missing := ""
		if _, known := peers.IDs[node]; !known {
			missing = "has no device ID in the Secret"
		}
		r.tell("node "+node, missing)
	}
	client := NewClient(r.Socket, peers.APIKey)
	defer client.Close()
	p := &pass{Reconciler: r, settings: settings, peers: peers, verdict: verdict, client: client, problems: map[string]error{}, given: map[string]map[string]account{}, awaited: map[string]string{}}
	if err := p.run(ctx); err != nil {
		return problem(err)
	}
	r.tell("all", "")
	for share := range settings.Folders {
		if err := p.problems[share]; err != nil {
			r.tell("share "+share, err.Error())
		} else {
			r.tell("share "+share, "")
		}
	}
	return len(p.problems) == 0 && !p.waiting
}

// tell says what is wrong with something once, and once that it is right.
func (r *Reconciler) tell(about, problem string) {
	before := r.told[about]
	r.told[about] = problem
	switch problem {
	case before:
	case "":
		complaint.Settle(r.Log, "in order again", about)
	default:
		complaint.Raise(r.Log, "not as wanted", about, problem)
	}
}

// fingerprint changes with the mounted files.
func (r *Reconciler) fingerprint() string {
	hash := sha256.New()
	content, err := os.ReadFile(r.Config)
	fmt.Fprintf(hash, "%q %v", content, err)
	files, err := mounted.Read(r.Peers)
	for _, name := range sortedKeys(files) {
		fmt.Fprintf(hash, "%q %q", name, files[name])
	}
	fmt.Fprintf(hash, "%v", err)
	return string(hash.Sum(nil))
}
