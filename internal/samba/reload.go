// Package samba makes a running smbd follow its configuration.
package samba

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Run runs one of Samba's own programs and returns what it writes.
type Run func(program string, arguments ...string) ([]byte, error)

// Reload makes smbd and its connections read a configuration again, and cuts
// off whoever may no longer use a share. Other connections go on: a person's
// copying isn't interrupted because another one got an account.
func Reload(configuration string, run Run) error {
	content, err := os.ReadFile(configuration)
	if err != nil {
		return fmt.Errorf("samba: %w", err)
	}
	control := func(destination string, message ...string) error {
		_, err := run("smbcontrol", slices.Concat([]string{"--configfile=" + configuration, destination}, message)...)
		return err
	}
	if err := control("all", "reload-config"); err != nil {
		return err
	}
	shares := sections(content)
	used, err := connected(configuration, run)
	if err != nil {
		return err
	}
	for _, share := range used {
		message := "close-denied-share"
		if !slices.Contains(shares, share) {
			message = "close-share"
		}
		if err := control("smbd", message, share); err != nil {
			return err
		}
	}
	return nil
}

// sections are the shares that a configuration names.
func sections(configuration []byte) (shares []string) {
	for lines := bufio.NewScanner(bytes.NewReader(configuration)); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		name, found := strings.CutPrefix(line, "[")
		if name, closed := strings.CutSuffix(name, "]"); found && closed && name != "global" {
			shares = append(shares, name)
		}
	}
	return shares
}

// connected are the shares that somebody uses now.
func connected(configuration string, run Run) (shares []string, err error) {
	output, err := run("smbstatus", "--configfile="+configuration, "--shares", "--json")
	if err != nil {
		return nil, err
	}
	var status struct {
		Connections map[string]struct {
			Service string `json:"service"`
		} `json:"tcons"`
	}
	if err := json.Unmarshal(output, &status); err != nil {
		return nil, fmt.Errorf("samba: smbstatus: %w", err)
	}
	for _, connection := range status.Connections {
		if connection.Service != "IPC$" {
			shares = append(shares, connection.Service)
		}
	}
	slices.Sort(shares)
	return slices.Compact(shares), nil
}
