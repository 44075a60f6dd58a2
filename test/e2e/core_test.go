package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tmorin/homecloud/test/cloud"
)

// twoBoards is what the core scenarios share: a cloud of two boards.
type twoBoards struct {
	*cloud.Cloud
	nodes []cloud.Node
	vip   string
	phone *phone
}

// TestCore runs the scenarios in order on one cloud; each leaves it healthy for the next.
func TestCore(t *testing.T) {
	c := newCloud(t, "core", 2)
	nodes, err := c.Driver.Nodes(t.Context())
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(nodes), 2, "the scenarios need two boards")
	family := &twoBoards{Cloud: c, nodes: nodes, phone: newPhone(t, c.Root)}

	example, err := c.Example("two-boards.yaml")
	require.NoError(t, err)
	example += fmt.Sprintf("\ndevices:\n  - {name: alice-phone, owner: alice, id: %s}\n", family.phone.id)
	example = strings.Replace(example, "    - name: photos\n", "    - name: photos\n      sync: {devices: [alice-phone]}\n", 1)
	require.Contains(t, example, "sync: {devices: [alice-phone]}", "examples/two-boards.yaml has lost its share photos")
	require.NoError(t, c.WriteFile(cloud.ForNodes(example, nodes)))
	family.vip = cloud.ForNodes("10.77.0.50", nodes)

	require.NoError(t, c.Prepare(t.Context()))
	output, err := c.Install(t.Context())
	require.NoError(t, err)
	t.Log(output)

	for _, scenario := range []struct {
		name string
		run  func(*testing.T, *twoBoards)
	}{
		{"ShareFiles_RomFromLaptopBySMBToConsoleByNFS", romFromLaptopToConsole},
		{"HandlePhotosChanges_PhotoFromPhoneOnBothBoards", photoFromPhone},
		{"ShareFiles_StrangersAndReadersAreRefused", strangersAreRefused},
		{"UpAgainChangesNothing", upAgainChangesNothing},
		{"ChangedByHand", changedByHand},
		{"ChartsAreWhatTheClusterServes", chartsAreServed},
		{"FileOfAnotherCloudIsRefused", anotherCloud},
		{"PeopleAndSharesComeAndGoWithoutARestart", comeAndGo},
		{"DiskPulledWhileRunning", diskPulled},
		{"DiskPulledSecondsAfterAWrite", diskTorn},
		{"DiskMissingAtStart", diskMissingAtStart},
		{"EmptiedDiskDoesNotDeleteTheGoodCopy", emptiedDisk},
		{"VIPMovesWhenItsBoardIsKilled", vipMoves},
		{"KilledKeepalivedComesBack", keepalivedKilled},
		{"DownAndReinstallKeepDataAndIdentities", reinstall},
	} {
		if !t.Run(scenario.name, func(t *testing.T) { scenario.run(t, family) }) {
			t.FailNow() // the next ones would only fail of what this one left
		}
	}
}

func romFromLaptopToConsole(t *testing.T, c *twoBoards) {
	bob := newLaptop(t, c.Cloud, "bob")
	content := strings.Repeat("PRG-ROM\x00\x1a", 1<<17) // 1.1 MiB: more than one NFS read
	rom := localFile(t, "Jeu de l'été.nes", content)
	eventually(t, "bob puts a ROM by SMB on "+c.nodes[0].Name, func(ctx context.Context) error {
		return bob.put(ctx, c.nodes[0].Address, "roms", rom, "jeu.nes")
	})
	eventually(t, "the console reads it by NFS on "+c.nodes[1].Name, func(ctx context.Context) error {
		read, err := nfsRead(ctx, c.Cloud, c.nodes[1].Address, "roms", "jeu.nes")
		if err == nil && read != content {
			return fmt.Errorf("%d bytes, want %d", len(read), len(content))
		}
		return err
	})
	owner := board(t.Context(), t, c.Cloud, c.nodes[1].Name, "stat -c %u:%g:%a /srv/homecloud/data/shares/roms/jeu.nes")
	require.Equal(t, "2000:2000:660", owner, "every file of a share belongs to one owner, whichever way it came")
}

func photoFromPhone(t *testing.T, c *twoBoards) {
	c.phone.start(t, c.Cloud)
	camera := filepath.Join(c.phone.home, "photos")
	require.NoError(t, os.MkdirAll(camera, 0o755))
	c.phone.share(t, "home-photos", camera, deviceIDs(t, c))
	require.NoError(t, os.WriteFile(filepath.Join(camera, "IMG_0001.jpg"), []byte("a picture"), 0o644))
	// Its watcher may have begun after the picture was taken.
	require.NoError(t, c.phone.call(t.Context(), http.MethodPost, "/rest/db/scan?folder=home-photos", nil, nil))
	alice := newLaptop(t, c.Cloud, "alice")
	for _, node := range c.nodes {
		eventually(t, "alice sees the photo on "+node.Name, func(ctx context.Context) error {
			read, err := alice.get(ctx, node.Address, "photos", "IMG_0001.jpg")
			if err == nil && read != "a picture" {
				return fmt.Errorf("read %q", read)
			}
			return err
		})
	}
}

func strangersAreRefused(t *testing.T, c *twoBoards) {
	address := c.nodes[0].Address
	_, err := (&laptop{cloud: c.Cloud, auth: localFile(t, "nobody", "username = alice\npassword = wrong\n")}).smb(t.Context(), address, "photos", "ls")
	require.ErrorContains(t, err, "NT_STATUS_LOGON_FAILURE")
	_, err = newLaptop(t, c.Cloud, "alice").smb(t.Context(), address, "roms", "put /dev/null x")
	require.Error(t, err, "alice may not write roms")
	for _, name := range []string{"~syncthing~holiday.jpg", ".syncthing.conf"} {
		_, err = newLaptop(t, c.Cloud, "alice").smb(t.Context(), address, "photos", "put /dev/null "+name)
		require.Error(t, err, "nobody would ever send %s: Syncthing takes it for its own", name)
	}
	_, err = nfsRead(t.Context(), c.Cloud, address, "photos", "IMG_0001.jpg")
	require.Error(t, err, "photos are not exported")
}

// deviceIDs tells the boards' Syncthing device IDs, with their addresses.
func deviceIDs(t *testing.T, c *twoBoards) map[string]string {
	t.Helper()
	client, err := cloud.Client(c.Driver.Kubeconfig())
	require.NoError(t, err)
	peers, err := client.CoreV1().Secrets("homecloud").Get(t.Context(), "homecloud-dnas-syncthing-peers", metav1.GetOptions{})
	require.NoError(t, err)
	ids := map[string]string{}
	for _, node := range c.nodes {
		require.NotEmpty(t, peers.Data[node.Name])
		ids[string(peers.Data[node.Name])] = node.Address
	}
	return ids
}

// pods are the services' pods and their restarts.
func pods(t *testing.T, c *cloud.Cloud) map[string]string {
	t.Helper()
	all, err := c.Pods(t.Context())
	require.NoError(t, err)
	state := map[string]string{}
	for i := range all {
		if owners := all[i].OwnerReferences; len(owners) > 0 && owners[0].Kind == "Job" {
			continue
		}
		restarts := int32(0)
		for _, container := range all[i].Status.ContainerStatuses {
			restarts += container.RestartCount
		}
		state[all[i].Name] = fmt.Sprint(all[i].UID, " restarts ", restarts)
	}
	return state
}

// snapshot is what must not change when nothing has to: every pod and its restarts, every release's revision.
func snapshot(t *testing.T, c *cloud.Cloud) map[string]string {
	t.Helper()
	state := pods(t, c)
	client, err := cloud.Client(c.Driver.Kubeconfig())
	require.NoError(t, err)
	secrets, err := client.CoreV1().Secrets("").List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	for _, secret := range secrets.Items {
		state["secret "+secret.Name] = secret.ResourceVersion
	}
	return state
}

func upAgainChangesNothing(t *testing.T, c *twoBoards) {
	before := snapshot(t, c.Cloud)
	_, err := c.Install(t.Context())
	require.NoError(t, err)
	require.Equal(t, before, snapshot(t, c.Cloud))
}

// What somebody changed by hand is seen by diff, and changed back by upgrade.
func changedByHand(t *testing.T, c *twoBoards) {
	run := func(arguments ...string) (string, error) {
		output, err := c.HCChart(t.Context(), append(arguments, "--values", c.ImageValues())...).CombinedOutput()
		return string(output), err
	}
	output, err := run("diff")
	require.NoError(t, err, output)
	require.Contains(t, output, "nothing would change")

	client, err := cloud.Client(c.Driver.Kubeconfig())
	require.NoError(t, err)
	maps := client.CoreV1().ConfigMaps("homecloud")
	config, err := maps.Get(t.Context(), "homecloud-dnas-nfs", metav1.GetOptions{})
	require.NoError(t, err)
	good := config.Data["ganesha.conf"]
	config.Data["ganesha.conf"] = good + "\n# by hand\n"
	_, err = maps.Update(t.Context(), config, metav1.UpdateOptions{})
	require.NoError(t, err)
	output, err = run("diff")
	require.Error(t, err)
	require.Contains(t, output, "harmless:\n  update ConfigMap homecloud-dnas-nfs\n")
	require.Contains(t, output, "-# by hand")

	// What would look elsewhere for the files is refused, and nothing is changed.
	moved := localFile(t, "moved.yaml", "dnas: {dataRoot: /srv/elsewhere}\n")
	output, err = run("upgrade", "--yes", "--values", moved)
	require.Error(t, err)
	require.Contains(t, output, "nothing was changed, because data would be moved or dropped")
	require.Contains(t, output, "what lies there isn't moved")
	config, err = maps.Get(t.Context(), "homecloud-dnas-nfs", metav1.GetOptions{})
	require.NoError(t, err)
	require.NotEqual(t, good, config.Data["ganesha.conf"])

	output, err = run("upgrade", "--yes")
	require.NoError(t, err, output)
	config, err = maps.Get(t.Context(), "homecloud-dnas-nfs", metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, good, config.Data["ganesha.conf"])
	output, err = run("diff")
	require.NoError(t, err, output)
}

func chartsAreServed(t *testing.T, c *twoBoards) {
	output, err := c.HCChart(t.Context(), "check", "--schemas", "cluster", "--values", c.ImageValues()).CombinedOutput()
	require.NoError(t, err, "%s", output)
	require.NotContains(t, string(output), "no-schema")
	require.Contains(t, string(output), "homecloud: 0 errors, 0 warnings, ")
}

func anotherCloud(t *testing.T, c *twoBoards) {
	before := snapshot(t, c.Cloud)
	file, err := os.ReadFile(c.File())
	require.NoError(t, err)
	other := strings.Replace(string(file), "name: home\n", "name: other\n", 1)
	require.NotEqual(t, string(file), other)
	command := c.HCChart(t.Context(), "up", "--file", "-", "--values", c.ImageValues())
	command.Stdin = strings.NewReader(other)
	output, err := command.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(output), "the cloud on this cluster is named home, the file's other")
	require.Equal(t, before, snapshot(t, c.Cloud))

	// Nor does a file go in under which nobody could write what is on the disks.
	owner := strings.Replace(string(file), "dnas:\n", "dnas:\n  owner: {uid: 1234, gid: 1234}\n", 1)
	require.NotEqual(t, string(file), owner)
	for _, arguments := range [][]string{{"up"}, {"upgrade", "--yes"}} {
		command = c.HCChart(t.Context(), append(arguments, "--file", "-", "--values", c.ImageValues())...)
		command.Stdin = strings.NewReader(owner)
		output, err = command.CombinedOutput()
		require.Error(t, err, "%v", arguments)
		require.Contains(t, string(output), "1234:1234", "%v", arguments)
	}
	require.Equal(t, before, snapshot(t, c.Cloud))

	// Nor is anything taken from it, or taken away.
	folder := t.TempDir()
	path := filepath.Join(folder, "other.yaml")
	require.NoError(t, os.WriteFile(path, []byte(other), 0o600))
	output, err = c.HCChart(t.Context(), "secrets", "init", "--file", path).CombinedOutput()
	require.NoError(t, err, "%s", output)
	require.Contains(t, string(output), "warning: nothing is taken from the cluster: the cloud on this cluster is named home")
	require.NotContains(t, string(output), "taken from the cluster: syncthing")
	for _, arguments := range [][]string{{"secrets", "init", "--from-cluster"}, {"secrets", "apply"}, {"down", "--yes"}} {
		output, err = c.HCChart(t.Context(), append(arguments, "--file", path)...).CombinedOutput()
		require.Error(t, err, "%v", arguments)
		require.Contains(t, string(output), "the cloud on this cluster is named home", "%v", arguments)
	}
	require.Equal(t, before, snapshot(t, c.Cloud))
}

// comeAndGo adds a person and a share and takes both away again: nothing restarts, nobody else is disturbed, and who may
// no longer is cut off.
func comeAndGo(t *testing.T, c *twoBoards) {
	file, err := os.ReadFile(c.File())
	require.NoError(t, err)
	without := string(file)
	with := strings.Replace(without, "  - {name: bob}\n", "  - {name: bob}\n  - {name: carol}\n", 1)
	with = strings.Replace(with, "    - name: family\n      access: {alice: write, bob: write}\n", `    - name: family
      access: {alice: write, bob: write, carol: write}
    - name: music
      access: {alice: write, bob: write, carol: write}
      nfs: {enabled: true, access: write}
`, 1)
	require.Contains(t, with, "carol: write}\n    - name: music", "examples/two-boards.yaml has lost its share family")
	before := pods(t, c.Cloud)

	require.NoError(t, c.WriteFile(with))
	_, err = c.Install(t.Context())
	require.NoError(t, err)
	carol := newLaptop(t, c.Cloud, "carol")
	song := localFile(t, "song", "la la")
	for _, node := range c.nodes {
		eventually(t, "carol puts a file on "+node.Name, func(ctx context.Context) error {
			return carol.put(ctx, node.Address, "family", song, "from carol on "+node.Name)
		})
	}
	eventually(t, "carol puts a song on "+c.nodes[0].Name, func(ctx context.Context) error {
		return carol.put(ctx, c.nodes[0].Address, "music", song, "song.ogg")
	})
	served(t, c, c.nodes[1], "music", "song.ogg", "la la")
	output, err := c.Driver.LAN(t.Context(), "nfs-cp", song, "nfs://"+c.nodes[1].Address+"/music/console.ogg?version=4").CombinedOutput()
	require.NoError(t, err, "a console writes: %s", output)
	served(t, c, c.nodes[0], "music", "console.ogg", "la la")
	require.Equal(t, before, pods(t, c.Cloud), "restarted")

	// Two who are at it while carol and the share go.
	node := c.nodes[0]
	bobs := newLaptop(t, c.Cloud, "bob").stay(t, node.Address, "family")
	carols, listeners := carol.stay(t, node.Address, "family"), carol.stay(t, node.Address, "music")
	require.NoError(t, c.WriteFile(without))
	output, err = c.HCChart(t.Context(), "up", "--values", c.ImageValues()).CombinedOutput()
	require.NoError(t, err, string(output))
	require.Contains(t, string(output), "share music is no longer served; what it holds stays on the disks, in shares/music")
	require.Contains(t, string(output), "carol may no longer log in")
	eventually(t, "carol is refused", func(ctx context.Context) error {
		return mustFail(carol.smb(ctx, node.Address, "family", "ls"))
	})
	eventually(t, "music isn't exported any more", func(ctx context.Context) error {
		return mustFail(nfsRead(ctx, c.Cloud, node.Address, "music", "song.ogg"))
	})
	for whose, list := range map[string]func() string{"carol's": carols, "the share's": listeners} {
		eventually(t, whose+" open connection is cut", func(context.Context) error {
			if text := list(); !strings.Contains(text, "NT_STATUS") {
				return fmt.Errorf("it lists %q", text)
			}
			return nil
		})
	}
	require.NotContains(t, bobs(), "NT_STATUS", "bob's isn't")
	require.Equal(t, before, pods(t, c.Cloud), "restarted")
	require.Equal(t, "la la", board(t.Context(), t, c.Cloud, node.Name, "cat /srv/homecloud/data/shares/music/song.ogg"), "what it holds stays")
	for _, node := range c.nodes {
		board(t.Context(), t, c.Cloud, node.Name, "rm -r /srv/homecloud/data/shares/music") // no share any more: nobody would bring it to a new disk
	}
}

func diskPulled(t *testing.T, c *twoBoards) {
	faults := needFaults(t, c.Cloud)
	node := c.nodes[1]
	bob := newLaptop(t, c.Cloud, "bob")
	require.NoError(t, faults.DetachDisk(t.Context(), node.Name, "data"))
	eventually(t, "SMB on "+node.Name+" stops", func(ctx context.Context) error {
		return mustFail(bob.smb(ctx, node.Address, "roms", "ls"))
	})
	eventually(t, "NFS on "+node.Name+" stops", func(ctx context.Context) error {
		return mustFail(nfsRead(ctx, c.Cloud, node.Address, "roms", "jeu.nes"))
	})
	require.NoError(t, bob.put(t.Context(), c.nodes[0].Address, "roms", localFile(t, "x", "while the disk is away"), "meanwhile.txt"))
	nothingOnTheSystemDisk(t, c, node.Name)
	require.NoError(t, faults.AttachDisk(t.Context(), node.Name, "data"))
	served(t, c, node, "roms", "jeu.nes", "")
	served(t, c, node, "roms", "meanwhile.txt", "while the disk is away")
	served(t, c, c.nodes[0], "roms", "jeu.nes", "")
}

// A disk that is pulled has not stored what was written in the last seconds.
// What it lost is on the other board and must not be deleted there.
func diskTorn(t *testing.T, c *twoBoards) {
	faults := needFaults(t, c.Cloud)
	good, torn := c.nodes[0], c.nodes[1]
	bob := newLaptop(t, c.Cloud, "bob")
	put := func(node cloud.Node, name, content string) {
		eventually(t, "bob puts "+name+" on "+node.Name, func(ctx context.Context) error {
			return bob.put(ctx, node.Address, "roms", localFile(t, "x", content), name)
		})
	}
	put(torn, "save.txt", "the first state")
	served(t, c, good, "roms", "save.txt", "the first state")
	board(t.Context(), t, c.Cloud, torn.Name, "sync -f /srv/homecloud/data")
	put(torn, "save.txt", "the state of the last minute")
	for i := range 5 {
		put(torn, fmt.Sprintf("last-%d.txt", i), fmt.Sprintf("written last, %d", i))
	}
	whole := func(node cloud.Node) {
		t.Helper()
		served(t, c, node, "roms", "save.txt", "the state of the last minute")
		for i := range 5 {
			served(t, c, node, "roms", fmt.Sprintf("last-%d.txt", i), fmt.Sprintf("written last, %d", i))
		}
	}
	whole(good)
	require.NoError(t, faults.DetachDisk(t.Context(), torn.Name, "data"))
	eventually(t, "SMB on "+torn.Name+" stops", func(ctx context.Context) error {
		return mustFail(bob.smb(ctx, torn.Address, "roms", "ls"))
	})
	require.NoError(t, faults.AttachDisk(t.Context(), torn.Name, "data"))
	whole(torn)
	// Its deletions, if it had announced any, would have come before this.
	put(torn, "later.txt", "when it sends again")
	served(t, c, good, "roms", "later.txt", "when it sends again")
	whole(good)
	require.Empty(t, board(t.Context(), t, c.Cloud, good.Name, "find /srv/homecloud/data/shares/roms/.stversions -name 'last-*'"),
		"nothing was deleted on "+good.Name)
}

func diskMissingAtStart(t *testing.T, c *twoBoards) {
	faults := needFaults(t, c.Cloud)
	node := c.nodes[1]
	require.NoError(t, faults.DetachDisk(t.Context(), node.Name, "data"))
	require.NoError(t, faults.KillNode(t.Context(), node.Name))
	require.NoError(t, faults.StartNode(t.Context(), node.Name))
	deletePods(t, c, node.Name) // new pods, that have never seen the disk
	eventually(t, "the pods of "+node.Name+" are back, waiting for the disk", func(ctx context.Context) error {
		return gateClosed(ctx, c, node.Name)
	})
	nothingOnTheSystemDisk(t, c, node.Name)
	var status strings.Builder
	require.NoError(t, c.PrintStatus(t.Context(), &status))
	require.Contains(t, status.String(), "no disk at /srv/homecloud/data", "make status says why")
	require.NoError(t, faults.AttachDisk(t.Context(), node.Name, "data"))
	served(t, c, node, "roms", "jeu.nes", "")
}

func emptiedDisk(t *testing.T, c *twoBoards) {
	needFaults(t, c.Cloud)
	node := c.nodes[1]
	const data = "/srv/homecloud/data"
	before := fileNames(t, c, c.nodes[0].Name)
	require.NotEmpty(t, before)
	board(t.Context(), t, c.Cloud, node.Name, "rm -f "+data+"/.homecloud-disk")
	eventually(t, "the gate of "+node.Name+" closes", func(ctx context.Context) error { return gateClosed(ctx, c, node.Name) })
	board(t.Context(), t, c.Cloud, node.Name, "rm -rf "+data+"/shares "+data+"/inbox "+data+"/.homecloud-probe")
	require.NoError(t, c.Adopt(t.Context(), node.Name, "home", "data"), "adopted as a new, empty disk")
	served(t, c, node, "roms", "jeu.nes", "")
	require.Equal(t, before, fileNames(t, c, c.nodes[0].Name), "the good copy is whole")
	eventually(t, node.Name+" has every file again", func(ctx context.Context) error {
		output, err := c.Driver.Board(ctx, node.Name, "sh", "-c", listFiles).Output()
		if err == nil && strings.TrimSpace(string(output)) != before {
			return fmt.Errorf("it has\n%s\nwant\n%s", output, before)
		}
		return err
	})
}

// listFiles lists a board's shares without what Syncthing keeps for itself.
const listFiles = `cd /srv/homecloud/data/shares && find . -type f -not -path '*/.st*' -not -name '.syncthing.*' | sort`

func fileNames(t *testing.T, c *twoBoards, node string) string {
	t.Helper()
	return board(t.Context(), t, c.Cloud, node, listFiles)
}

func vipMoves(t *testing.T, c *twoBoards) {
	faults := needFaults(t, c.Cloud)
	bob := newLaptop(t, c.Cloud, "bob")
	answers := func(ctx context.Context) error {
		_, err := bob.get(ctx, c.vip, "roms", "jeu.nes")
		return err
	}
	eventually(t, "the virtual address answers", answers)
	holder := ""
	eventually(t, "exactly one board holds the address", func(ctx context.Context) (err error) {
		holder, err = vipHolder(ctx, c)
		return err
	})
	require.NoError(t, faults.KillNode(t.Context(), holder))
	eventually(t, "the virtual address answers without "+holder, answers)
	require.NoError(t, faults.StartNode(t.Context(), holder))
	for _, node := range c.nodes {
		served(t, c, node, "roms", "jeu.nes", "")
	}
	eventually(t, "exactly one board holds the address again", func(ctx context.Context) error {
		_, err := vipHolder(ctx, c)
		return err
	})
}

// keepalivedKilled kills it as a lack of memory does, on every board in turn.
func keepalivedKilled(t *testing.T, c *twoBoards) {
	const running = "pgrep -o -x keepalived"
	for _, node := range c.nodes {
		before := board(t.Context(), t, c.Cloud, node.Name, running)
		board(t.Context(), t, c.Cloud, node.Name, "pkill -KILL -x keepalived")
		eventually(t, "keepalived runs again on "+node.Name, func(ctx context.Context) error {
			now, err := c.Driver.Board(ctx, node.Name, "sh", "-c", running).Output()
			if err == nil && strings.TrimSpace(string(now)) == before {
				return errors.New("it is still the same process")
			}
			return err
		})
	}
	eventually(t, "one board holds the address, and all pods are ready", func(ctx context.Context) error {
		if _, err := vipHolder(ctx, c); err != nil {
			return err
		}
		pods, err := c.Pods(ctx)
		if err != nil {
			return err
		}
		for _, pod := range pods {
			for _, container := range pod.Status.ContainerStatuses {
				if !container.Ready {
					return fmt.Errorf("%s: %s isn't ready", pod.Name, container.Name)
				}
			}
		}
		return nil
	})
}

func vipHolder(ctx context.Context, c *twoBoards) (string, error) {
	var holders []string
	for _, node := range c.nodes {
		output, err := c.Driver.Board(ctx, node.Name, "ip", "-4", "-o", "addr").Output()
		if err != nil {
			return "", err
		}
		if strings.Contains(string(output), c.vip+"/") {
			holders = append(holders, node.Name)
		}
	}
	if len(holders) != 1 {
		return "", fmt.Errorf("held by %v", holders)
	}
	return holders[0], nil
}

func reinstall(t *testing.T, c *twoBoards) {
	ids := slices.Sorted(maps.Keys(deviceIDs(t, c)))
	output, err := c.HCChart(t.Context(), "down", "--yes").CombinedOutput()
	require.NoError(t, err, "%s", output)
	eventually(t, "every pod is gone", func(ctx context.Context) error {
		pods, err := c.Pods(ctx)
		if err == nil && len(pods) > 0 {
			return fmt.Errorf("%d pods are left", len(pods))
		}
		return err
	})
	_, err = c.Install(t.Context())
	require.NoError(t, err)
	for _, node := range c.nodes {
		served(t, c, node, "roms", "jeu.nes", "")
	}
	require.Equal(t, ids, slices.Sorted(maps.Keys(deviceIDs(t, c))))
}

// served waits until a board serves a file by NFS; want is its content, unless empty.
func served(t *testing.T, c *twoBoards, node cloud.Node, share, name, want string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s serves %s/%s", node.Name, share, name), func(ctx context.Context) error {
		content, err := nfsRead(ctx, c.Cloud, node.Address, share, name)
		if err == nil && want != "" && content != want {
			return fmt.Errorf("read %q", content)
		}
		return err
	})
}

// nothingOnTheSystemDisk proves that the place of a missing disk stayed empty.
func nothingOnTheSystemDisk(t *testing.T, c *twoBoards, node string) {
	t.Helper()
	require.Empty(t, board(t.Context(), t, c.Cloud, node, "mountpoint -q /srv/homecloud/data || ls -A /srv/homecloud/data"))
	require.Error(t, c.Driver.Board(t.Context(), node, "mountpoint", "-q", "/srv/homecloud/data").Run(), "the disk is away")
}

// gateClosed tells whether no daemon of the NAS serves on a board though its pods run.
func gateClosed(ctx context.Context, c *twoBoards, node string) error {
	pods, err := c.Pods(ctx)
	if err != nil {
		return err
	}
	found := false
	for i := range pods {
		if pods[i].Spec.NodeName != node || pods[i].Namespace != "homecloud" || pods[i].DeletionTimestamp != nil {
			continue
		}
		for _, container := range pods[i].Status.ContainerStatuses {
			switch container.Name {
			case "samba", "nfs", "syncthing":
				found = true
				if container.State.Running == nil || container.Ready {
					return fmt.Errorf("%s/%s: running %t, ready %t", pods[i].Name, container.Name, container.State.Running != nil, container.Ready)
				}
			}
		}
	}
	if !found {
		return errors.New("no pod of the NAS on " + node)
	}
	return nil
}

func deletePods(t *testing.T, c *twoBoards, node string) {
	t.Helper()
	client, err := cloud.Client(c.Driver.Kubeconfig())
	require.NoError(t, err)
	require.NoError(t, client.CoreV1().Pods("homecloud").DeleteCollection(t.Context(), metav1.DeleteOptions{GracePeriodSeconds: new(int64(1))},
		metav1.ListOptions{FieldSelector: "spec.nodeName=" + node}))
}

// mustFail turns an answer into an error, and an error into success.
func mustFail(answer string, err error) error {
	if err == nil {
		return fmt.Errorf("it still answers: %.60q", answer)
	}
	return nil
}
