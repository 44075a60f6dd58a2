package charts_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tmorin/homecloud/internal/jsonschema"
)

// definition compiles what stands below #/definitions, or deeper, in a chart's schema.
func definition(t *testing.T, chart, pointer string) func(value any) bool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(chart, "values.schema.json"))
	require.NoError(t, err)
	set, err := jsonschema.Parse(text)
	require.NoError(t, err)
	schema, err := set.Compile(pointer)
	require.NoError(t, err)
	return func(value any) bool { return len(schema.Validate(value)) == 0 }
}

// What a person may write by hand is what the cluster file's own reader takes.
func TestAddressesAreThoseOfGo(t *testing.T) {
	addresses := []string{
		"", "0.0.0.0", "10.77.0.50", "255.255.255.255", "10.77.0.256", "10.77.0.999", "10.77.0", "10.77.0.1.2", "10.77.00.1", "010.0.0.1",
		"a.b", "abc", "box.local", "10.77.0.1 ", "1.2.3.4,5.6.7.8", "*",
		"::", "::1", "fd00::50", "FD00::50", "fd00:1::", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7", "1::3:4:5:6:7:8",
		"::ffff:10.0.0.1", "1:2:3:4:5:6:10.0.0.1", "fd00", "fd00:1", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::", "fd00::1::2",
		"fd00:::1", ":1", "1:", ":1::2", "1::2:", "12345::", "g::1", "::ffff:10.0.0.256", "::10.0.0.1:1", "1:2:3:4:5:6:7:10.0.0.1", "1:2:3:4:5::10.0.0.1", "::1:2:3:4:5:10.0.0.1", "::1:2:3:4:5:6:10.0.0.1", "1:2:3:4:5:6::10.0.0.1",
		"::1:2:3:4:5:6:7", "1:2::3:4:5:6:7:8", "::1:2:3:4:5:6:7:8", "fe80::1%eth0", ":::", ":",
	}
	for _, chart := range []string{"dnas", "platform"} {
		valid := definition(t, chart, "/definitions/address")
		for _, text := range addresses {
			address, err := netip.ParseAddr(text)
			require.Equal(t, err == nil && address.Zone() == "", valid(text), "%s: %q", chart, text)
		}
	}
	valid := definition(t, "dnas", "/definitions/network")
	for _, text := range addresses {
		address, err := netip.ParseAddr(text)
		require.Equal(t, err == nil && address.Zone() == "", valid(text), text)
		for _, length := range []string{"/", "/0", "/8", "/00", "/32", "/33", "/64", "/99", "/100", "/128", "/129", "/999", "/-1", "/8/8"} {
			_, err := netip.ParsePrefix(text + length)
			require.Equal(t, err == nil, valid(text+length), text+length)
		}
	}
}

func TestVersionsAreKeptForADayToTenYears(t *testing.T) {
	valid := definition(t, "dnas", "/definitions/share/properties/versions")
	for days := range 11000 {
		require.Equal(t, days >= 1 && days <= 3650, valid(fmt.Sprintf("%dd", days)), days)
	}
	for _, text := range []string{"", "d", "90", "090d", "-1d", "1.5d", "99999999999999999999d", "90d ", "3y"} {
		require.False(t, valid(text), text)
	}
}

func TestFilesBelongToNobodyOfTheSystem(t *testing.T) {
	for _, id := range []string{"uid", "gid"} {
		valid := definition(t, "dnas", "/properties/owner/properties/"+id)
		for number, want := range map[int]bool{0: false, 1: false, 999: false, 1000: true, 1010: true, 2000: true, 60000: true} {
			require.Equal(t, want, valid(json.Number(fmt.Sprint(number))), number)
		}
	}
}
