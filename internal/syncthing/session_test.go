package syncthing

import (
	"encoding/xml"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestIsolatedConfigurationIsQuietAndTalksToNobody(t *testing.T) {
	const configuration = `<configuration version="37">
    <!-- <folder type="sendreceive"> -->
    <folder id="home-a" label="type=&#34;x&#34; type='y'" path="/srv/a" type="sendreceive" rescanIntervalS="3600" fsWatcherEnabled="true" fsWatcherDelayS="1">
        <device id="X" introducedBy=""></device>
        <folder type="sendreceive"/>
    </folder>
    <folder id="home-b"/>
    <device id="SELF"><paused>false</paused></device>
    <device id="PEER" name="box"><address>dynamic</address><paused>false</paused></device>
    <device id="PHONE"/>
    <defaults><folder id="" type="sendreceive" fsWatcherEnabled="true"/><device id=""><paused>false</paused></device></defaults>
</configuration>
`
	const want = `<configuration version="37">
    <!-- <folder type="sendreceive"> -->
    <folder id="home-a" label="type=&quot;x&quot; type=&apos;y&apos;" path="/srv/a" type="receiveonly" rescanIntervalS="0" fsWatcherEnabled="false" fsWatcherDelayS="1">
        <device id="X" introducedBy=""/>
        <folder type="sendreceive"/>
    </folder>
    <folder id="home-b" fsWatcherEnabled="false" rescanIntervalS="0" type="receiveonly"/>
    <device id="SELF"><paused>false</paused></device>
    <device id="PEER" name="box"><address>dynamic</address><paused>true</paused></device>
    <device id="PHONE"><paused>true</paused></device>
    <defaults><folder id="" type="sendreceive" fsWatcherEnabled="true"/><device id=""><paused>false</paused></device></defaults>
</configuration>
`
	got, err := isolated([]byte(configuration), "SELF")
	require.NoError(t, err)
	require.Equal(t, want, string(got))
	for _, broken := range []string{`<configuration><folder`, ``, `<other/>`} {
		_, err = isolated([]byte(broken), "SELF")
		require.Error(t, err, "a broken configuration isn't guessed at")
	}
}

func TestBlockSizeFollowsFromTheNumberOfBlocks(t *testing.T) {
	for _, test := range []struct{ size, blocks, want int64 }{
		{1, 1, 128 << 10}, {128 << 10, 1, 128 << 10}, {128<<10 + 1, 2, 128 << 10},
		{300 << 20, 1200, 256 << 10}, {300 << 20, 2400, 128 << 10}, {20 << 30, 1280, 16 << 20},
	} {
		require.Equal(t, test.want, blockSize(entry{Size: test.size, NumBlocks: test.blocks}), "%d bytes in %d blocks", test.size, test.blocks)
	}
}

func TestMarkedNameFitsAndKeepsTheExtension(t *testing.T) {
	const mark = ".sync-conflict-20260102-030405-ABCDEFG"
	require.Equal(t, "a/photo"+mark+".jpg", marked("a/photo.jpg", mark))
	for _, name := range []string{strings.Repeat("ä", 124) + ".jpg", "v." + strings.Repeat("x", 250), strings.Repeat("y", 255), "." + strings.Repeat("z", 200)} {
		got := marked("a/"+name, mark)
		require.LessOrEqual(t, len(got), len("a/")+255, name)
		require.Contains(t, got, mark)
	}
	require.Regexp(t, `ä`+mark+`\.jpg$`, marked(strings.Repeat("ä", 124)+".jpg", mark))
}

func TestWhenADiskCameBack(t *testing.T) {
	here, before := session{Boot: "now"}, session{Boot: "before"}
	long := now().Add(-time.Hour * 24 * 365)
	s := &Session{}
	require.WithinDuration(t, now(), s.back(here, here, now()), time.Second, "the same boot: only now is sure")
	booted := s.back(before, here, long)
	require.True(t, booted.Before(now()) && booted.After(long), "another boot: since then")
	for _, last := range []session{before, {}, here} {
		stored := now().Add(time.Hour)
		require.Equal(t, stored.Add(clockMargin), s.back(last, here, stored), "a clock that is behind what the disk knows tells when it has caught up")
	}
	s.abandoned.Store(&long)
	require.Equal(t, long, s.back(here, here, long.Add(-time.Hour)), "the gate saw it go")
}

func TestDiskThatStayedMountedIsInOrder(t *testing.T) {
	last := session{Name: "a", Generation: "g", Boot: "b", Superblock: 7}
	tests := []struct {
		name      string
		change    func(last, begun *session)
		onDisk    string
		abandoned bool
		want      bool
	}{
		{"only a process was killed", func(*session, *session) {}, "a", false, true},
		{"ended", func(l, b *session) { l.Ended, b.Superblock, b.Boot = true, 8, "c" }, "a", false, true},
		{"mounted anew", func(_, b *session) { b.Superblock = 8 }, "a", false, false},
		{"booted anew", func(_, b *session) { b.Boot = "c" }, "a", false, false},
		{"nobody can tell", func(l, b *session) { l.Superblock, b.Superblock = 0, 0 }, "a", false, false},
		{"the gate saw it go", func(*session, *session) {}, "a", true, false},
		{"a full disk under an old name", func(l, b *session) { l.Ended, l.Unnamed, b.Superblock = true, true, 8 }, "a", false, false},
		{"an older copy", func(l, _ *session) { l.Ended = true }, "z", false, false},
		{"another disk", func(l, b *session) { l.Ended, b.Generation = true, "h" }, "a", false, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			was, begun := last, last
			test.change(&was, &begun)
			s := &Session{}
			if test.abandoned {
				s.abandoned.Store(new(now()))
			}
			require.Equal(t, test.want, s.inOrder(was, begun, test.onDisk))
		})
	}
}

func FuzzIsolated(f *testing.F) {
	f.Add(`<configuration><folder id="a" type="sendreceive" label="&lt;"></folder><device id="b"><paused>false</paused></device></configuration>`)
	f.Add(`<configuration><folder  type = "x" ></folder><device id = "b"/></configuration>`)
	f.Fuzz(func(t *testing.T, text string) {
		content, err := isolated([]byte(text), "self")
		if err != nil {
			return
		}
		var got struct {
			Folders []struct {
				Type string `xml:"type,attr"`
			} `xml:"folder"`
			Devices []struct {
				ID     string   `xml:"id,attr"`
				Paused []string `xml:"paused"`
			} `xml:"device"`
		}
		if xml.Unmarshal(content, &got) != nil {
			return // other than what Syncthing writes
		}
		for _, folder := range got.Folders {
			require.Equal(t, "receiveonly", folder.Type, text)
		}
		for _, device := range got.Devices {
			if device.ID != "self" && device.ID != "" {
				require.Contains(t, device.Paused, "true", text)
			}
		}
	})
}
