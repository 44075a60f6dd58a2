package syncthing

import (
	"encoding/xml"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFoldersAreMadeQuietAndNothingElseChanges(t *testing.T) {
	const configuration = `<configuration version="37">
    <!-- <folder type="sendreceive"> -->
    <folder id="home-a" label="type=&#34;x&#34; type='y'" path="/srv/a" type="sendreceive" rescanIntervalS="3600" fsWatcherEnabled="true" fsWatcherDelayS="1">
        <device id="X" introducedBy=""></device>
        <folder type="sendreceive"/>
    </folder>
    <folder id="home-b"/>
    <folder id="home-c" type="receiveonly" rescanIntervalS="0" fsWatcherEnabled="false"/>
    <defaults><folder id="" type="sendreceive" fsWatcherEnabled="true"/></defaults>
</configuration>
`
	const want = `<configuration version="37">
    <!-- <folder type="sendreceive"> -->
    <folder id="home-a" label="type=&#34;x&#34; type=&#39;y&#39;" path="/srv/a" type="receiveonly" rescanIntervalS="0" fsWatcherEnabled="false" fsWatcherDelayS="1">
        <device id="X" introducedBy=""></device>
        <folder type="sendreceive"/>
    </folder>
    <folder id="home-b" type="receiveonly" fsWatcherEnabled="false" rescanIntervalS="0"/>
    <folder id="home-c" type="receiveonly" rescanIntervalS="0" fsWatcherEnabled="false"/>
    <defaults><folder id="" type="sendreceive" fsWatcherEnabled="true"/></defaults>
</configuration>
`
	got, err := withQuietFolders([]byte(configuration))
	require.NoError(t, err)
	require.Equal(t, want, string(got))
	_, err = withQuietFolders([]byte(`<configuration><folder`))
	require.Error(t, err, "a broken configuration isn't guessed at")
}

func TestBlockSizeFollowsFromTheNumberOfBlocks(t *testing.T) {
	for _, test := range []struct{ size, blocks, want int64 }{
		{1, 1, 128 << 10}, {128 << 10, 1, 128 << 10}, {128<<10 + 1, 2, 128 << 10},
		{300 << 20, 1200, 256 << 10}, {300 << 20, 2400, 128 << 10}, {20 << 30, 1280, 16 << 20},
	} {
		require.Equal(t, test.want, blockSize(entry{Size: test.size, NumBlocks: test.blocks}), "%d bytes in %d blocks", test.size, test.blocks)
	}
}

func TestConflictNameFitsAndKeepsTheExtension(t *testing.T) {
	at := now()
	name := conflictName("a/photo.jpg", at, "ABCDEFG")
	require.Regexp(t, `^a/photo\.sync-conflict-\d{8}-\d{6}-ABCDEFG\.jpg$`, name)
	long := conflictName("a/"+strings.Repeat("ä", 124)+".jpg", at, "ABCDEFG")
	require.LessOrEqual(t, len(long), len("a/")+255)
	require.Regexp(t, `^a/ä+\.sync-conflict-.*\.jpg$`, long)
}

func FuzzQuietFolders(f *testing.F) {
	f.Add(`<configuration><folder id="a" type="sendreceive" label="&lt;"></folder></configuration>`)
	f.Add(`<configuration><folder  type = "x" ></folder></configuration>`)
	f.Fuzz(func(t *testing.T, text string) {
		content, err := withQuietFolders([]byte(text))
		if err != nil {
			return
		}
		var got struct {
			Folders []struct {
				Type string `xml:"type,attr"`
			} `xml:"folder"`
		}
		if xml.Unmarshal(content, &got) != nil {
			return // more than one element, or other than what Syncthing writes
		}
		for _, folder := range got.Folders {
			require.Equal(t, "receiveonly", folder.Type, text)
		}
	})
}
