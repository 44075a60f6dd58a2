package syncthing

import "fmt"

// option is one of Syncthing's options under its two names.
type option struct {
	json, xml string
	value     any // bool, float64, string or []string
}

// options are those we set. Whatever isn't here keeps Syncthing's default.
func (s Settings) options(node string) []option {
	listen := []string{fmt.Sprintf("tcp://%s:%d", s.Nodes[node].Address, s.ListenPort)}
	lan, internet := s.Discovery != "none", s.Discovery == "internet"
	if internet {
		listen = append(listen, "dynamic+https://relays.syncthing.net/endpoint")
	}
	return []option{
		{"listenAddresses", "listenAddress", listen},
		{"globalAnnounceEnabled", "globalAnnounceEnabled", internet},
		{"localAnnounceEnabled", "localAnnounceEnabled", lan},
		{"relaysEnabled", "relaysEnabled", internet},
		{"natEnabled", "natEnabled", internet},
		// The default of a minute is how long a board that was rebooted would
		// stay alone.
		{"reconnectionIntervalS", "reconnectionIntervalS", 10.0},
		// What begins like the names of its unfinished files is removed when it is
		// older than this, also a person's own: a hundred years.
		{"keepTemporariesH", "keepTemporariesH", 876000.0},
		{"startBrowser", "startBrowser", false},
		{"urAccepted", "urAccepted", -1.0},
		{"crashReportingEnabled", "crashReportingEnabled", false},
		{"autoUpgradeIntervalH", "autoUpgradeIntervalH", 0.0},
	}
}
