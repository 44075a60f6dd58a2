package syncthing

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/deviceidentity"
	"github.com/tmorin/homecloud/internal/mounted"
)

// Preparation makes a node's Syncthing home ready for Syncthing's start.
type Preparation struct {
	Settings Settings
	Node     string
	Identity string // folder: a mounted Secret with cert.pem and key.pem
	Peers    string // folder: a mounted Secret, see Peers
	Home     string // on the system disk; must exist and be ours
	Log      *slog.Logger
}

const (
	certificateFile = "cert.pem"
	keyFile         = "key.pem"
	configFile      = "config.xml"
)

// Run writes the identity, and a first configuration where there is none. It
// refuses to change an identity: to its peers the node would be a stranger.
func (p Preparation) Run() error {
	identity, err := mounted.Read(p.Identity)
	if err != nil {
		return fmt.Errorf("syncthing: %w", err)
	}
	id, err := deviceidentity.DeviceOf(identity[certificateFile], identity[keyFile])
	if err != nil {
		return fmt.Errorf("syncthing: the identity in %s: %w", p.Identity, err)
	}
	peers, err := LoadPeers(p.Peers, p.Settings.Nodes)
	if err != nil {
		return err
	}
	if peers.IDs[p.Node] != id {
		return fmt.Errorf("syncthing: %s says that %s is %q, but its certificate is that of %s; the peers would refuse it",
			p.Peers, p.Node, peers.IDs[p.Node], id)
	}
	unlock, err := lockState(p.Home, p.Log)
	if err != nil {
		return err
	}
	defer unlock()
	if err := p.refuseOtherIdentity(id); err != nil {
		return err
	}
	state, err := loadState(p.Home)
	if err != nil {
		return err
	}
	state.Device = id
	if err := state.save(p.Home); err != nil {
		return err
	}
	if err := p.write(certificateFile, identity[certificateFile], 0o644); err != nil {
		return err
	}
	if err := p.write(keyFile, identity[keyFile], 0o600); err != nil {
		return err
	}
	return p.prepareConfig(id, peers.APIKey)
}

// refuseOtherIdentity compares with what the home was made for, by its
// certificate or, when that is gone, by our own memory.
func (p Preparation) refuseOtherIdentity(id config.DeviceID) error {
	before := config.DeviceID("")
	certificate, err := os.ReadFile(filepath.Join(p.Home, certificateFile))
	switch {
	case err == nil:
		key, err := os.ReadFile(filepath.Join(p.Home, keyFile))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("syncthing: %w", err)
		}
		if err == nil {
			if before, err = deviceidentity.DeviceOf(certificate, key); err != nil {
				return fmt.Errorf("syncthing: the identity in %s: %w", p.Home, err)
			}
		}
	case !errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("syncthing: %w", err)
	}
	if before == "" {
		state, err := loadState(p.Home)
		if err != nil {
			return err
		}
		before = state.Device
	}
	if before != "" && before != id {
		return fmt.Errorf("syncthing: %s belongs to the device %s, the Secret holds %s: a node is never given another identity; put its own back "+
			"(hcchart secrets apply, from the secrets file that has it; cert.pem and key.pem in this folder, which is the board's /var/lib/homecloud/RELEASE/syncthing, are the board's copy), or remove the folder on purpose",
			p.Home, before, id)
	}
	return nil
}

func (p Preparation) write(name string, content []byte, mode os.FileMode) error {
	changed, err := mounted.Replace(filepath.Join(p.Home, name), content, mode)
	if err != nil {
		return fmt.Errorf("syncthing: %w", err)
	}
	if changed {
		p.Log.Info("written", "file", filepath.Join(p.Home, name))
	}
	return nil
}

// prepareConfig writes the first configuration, or puts a changed key of the
// REST interface into an existing one: without it nobody could reconcile.
func (p Preparation) prepareConfig(id config.DeviceID, apiKey string) error {
	existing, err := os.ReadFile(filepath.Join(p.Home, configFile))
	if errors.Is(err, os.ErrNotExist) {
		content, err := firstConfig(p.Settings, p.Node, id, apiKey)
		if err != nil {
			return err
		}
		return p.write(configFile, content, 0o600)
	}
	if err != nil {
		return fmt.Errorf("syncthing: %w", err)
	}
	content, err := withAPIKey(existing, apiKey)
	if err != nil {
		return fmt.Errorf("syncthing: %s: %w", filepath.Join(p.Home, configFile), err)
	}
	return p.write(configFile, content, 0o600)
}

// configVersion is that of Syncthing 1.30; newer ones migrate it.
const configVersion = 37

type firstConfiguration struct {
	XMLName xml.Name    `xml:"configuration"`
	Version int         `xml:"version,attr"`
	Device  firstDevice `xml:"device"`
	GUI     firstGUI    `xml:"gui"`
	Options firstOptions
}

type firstDevice struct {
	ID   config.DeviceID `xml:"id,attr"`
	Name string          `xml:"name,attr"`
}

type firstGUI struct {
	Enabled bool   `xml:"enabled,attr"`
	APIKey  string `xml:"apikey"`
}

type firstOptions []option

// MarshalXML writes each option as an element, a list as several.
func (o firstOptions) MarshalXML(e *xml.Encoder, _ xml.StartElement) error {
	start := xml.StartElement{Name: xml.Name{Local: "options"}}
	if err := e.EncodeToken(start); err != nil {
		return err
	}
	for _, option := range o {
		if err := e.EncodeElement(option.value, xml.StartElement{Name: xml.Name{Local: option.xml}}); err != nil {
			return err
		}
	}
	return e.EncodeToken(start.End())
}

// firstConfig has no folder: those come when the disk has been looked at. The
// address of the REST interface is an argument of Syncthing's.
func firstConfig(s Settings, node string, id config.DeviceID, apiKey string) ([]byte, error) {
	content, err := xml.MarshalIndent(firstConfiguration{
		Version: configVersion,
		Device:  firstDevice{ID: id, Name: node},
		GUI:     firstGUI{Enabled: true, APIKey: apiKey},
		Options: s.options(node),
	}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("syncthing: make a configuration: %w", err)
	}
	return append(content, '\n'), nil
}

// withAPIKey replaces the text of configuration > gui > apikey and leaves
// every other byte as Syncthing wrote it.
func withAPIKey(content []byte, apiKey string) ([]byte, error) {
	var escaped bytes.Buffer
	if err := xml.EscapeText(&escaped, []byte(apiKey)); err != nil {
		return nil, err
	}
	decoder := xml.NewDecoder(bytes.NewReader(content))
	var path []string
	var begin int64
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return nil, errors.New("has no place for the key of the REST interface")
		}
		if err != nil {
			return nil, err
		}
		switch t := token.(type) {
		case xml.StartElement:
			path = append(path, t.Name.Local)
			begin = decoder.InputOffset()
		case xml.EndElement:
			if len(path) == 3 && path[1] == "gui" && path[2] == "apikey" {
				if begin == decoder.InputOffset() { // <apikey/>
					return bytes.Join([][]byte{content[:begin-2], []byte(">"), escaped.Bytes(), []byte("</apikey>"), content[begin:]}, nil), nil
				}
				end := bytes.LastIndex(content[:decoder.InputOffset()], []byte("</"))
				return bytes.Join([][]byte{content[:begin], escaped.Bytes(), content[end:]}, nil), nil
			}
			path = path[:len(path)-1]
		}
	}
}
