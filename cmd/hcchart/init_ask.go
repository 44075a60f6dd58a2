package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// interview asks a person for a draft, one question per line. An answer is
// judged by the rules of the file as soon as it is given, and asked again.
type interview struct {
	in  *bufio.Scanner
	out io.Writer
}

func newInterview(in io.Reader, out io.Writer) *interview {
	return &interview{in: bufio.NewScanner(in), out: out}
}

// ask puts one question until accept has nothing against the answer.
func (i *interview) ask(question, proposal string, accept func(string) (objection string)) error {
	for {
		fmt.Fprint(i.out, question)
		if proposal != "" {
			fmt.Fprintf(i.out, " [%s]", proposal)
		}
		fmt.Fprint(i.out, ": ")
		if !i.in.Scan() {
			fmt.Fprintln(i.out)
			if err := i.in.Err(); err != nil {
				return fmt.Errorf("read the answer: %w", err)
			}
			return errors.New("the input ended before the last question; nothing is written")
		}
		answer := strings.TrimSpace(i.in.Text())
		if answer == "" {
			answer = proposal
		}
		objection := accept(answer)
		if objection == "" {
			return nil
		}
		fmt.Fprintf(i.out, "  %s\n", objection)
	}
}

// set asks for a field of the draft; the file's own rules about paths that
// begin with path judge it.
func (i *interview) set(draft *clusterDraft, question, proposal, path string, field *string) error {
	return i.ask(question, proposal, func(answer string) string {
		*field = answer
		return objection(*draft, path)
	})
}

func objection(draft clusterDraft, path string) string {
	if len(draft.Users) == 0 {
		draft.Users = []string{"somebody"}
	}
	for _, finding := range draft.findings() {
		if strings.HasPrefix(finding.Path, path) {
			return finding.Problem + "; " + finding.Remedy
		}
	}
	return ""
}

// run asks for everything that the draft does not hold yet.
func (i *interview) run(draft *clusterDraft, here homeNetwork) error {
	askBoards, askUsers := len(draft.Nodes) == 0, len(draft.Users) == 0
	fmt.Fprintln(i.out, "Enter takes what stands in brackets; Ctrl-C writes nothing.")
	if askBoards {
		draft.Nodes = []nodeDraft{placeholder(0)}
	}
	if draft.Name == "" {
		if err := i.set(draft, "Name of the cloud", "home", "name", &draft.Name); err != nil {
			return err
		}
	}
	if err := i.network(draft, here); err != nil {
		return err
	}
	if askBoards {
		if err := i.boards(draft); err != nil {
			return err
		}
	}
	if draft.VIP == "" && len(draft.Nodes) > 1 {
		if err := i.virtual(draft); err != nil {
			return err
		}
	}
	if askUsers {
		if err := i.people(draft); err != nil {
			return err
		}
	}
	if findings := draft.findings(); len(findings) > 0 {
		return fmt.Errorf("%s: %s; %s", findings[0].Path, findings[0].Problem, findings[0].Remedy)
	}
	return nil
}

// placeholder stands for a board until its questions are answered.
func placeholder(n int) nodeDraft {
	return nodeDraft{Name: fmt.Sprintf("board-%d", n+1), Address: fmt.Sprintf("board-%d.local", n+1), Disk: fmt.Sprintf("/dev/disk/by-id/board-%d", n+1)}
}

func (i *interview) network(draft *clusterDraft, here homeNetwork) error {
	if draft.Subnet == "" {
		err := i.ask("Network of the house, none if you don't know", orNone(here.Subnet), func(answer string) string {
			if draft.Subnet = answer; answer == "none" {
				draft.Subnet = ""
			}
			return objection(*draft, "network.subnet")
		})
		if err != nil {
			return err
		}
	}
	if draft.Gateway != "" || draft.Subnet == "" {
		return nil
	}
	proposal := here.Gateway
	if draft.Subnet != here.Subnet {
		proposal = firstOf(draft.Subnet)
	}
	return i.set(draft, "Router", proposal, "network.gateway", &draft.Gateway)
}

// firstOf is the address that most routers have.
func firstOf(subnet string) string {
	prefix, err := netip.ParsePrefix(subnet)
	if err != nil {
		return ""
	}
	return prefix.Masked().Addr().Next().String()
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

func (i *interview) boards(draft *clusterDraft) error {
	const most = 8
	err := i.ask("How many boards", "1", func(answer string) string {
		count, err := strconv.Atoi(answer)
		if err != nil || count < 1 || count > most {
			return fmt.Sprintf("%q is not a number from 1 to %d", answer, most)
		}
		draft.Nodes = nil
		for n := range count {
			draft.Nodes = append(draft.Nodes, placeholder(n))
		}
		return ""
	})
	if err != nil {
		return err
	}
	for n := range draft.Nodes {
		node, path, called := &draft.Nodes[n], fmt.Sprintf("nodes[%d]", n), "Board"
		proposal := "box"
		if len(draft.Nodes) > 1 {
			called, proposal = fmt.Sprintf("Board %d", n+1), fmt.Sprintf("node-%d", n+1)
		}
		if err := i.set(draft, called+", name", proposal, path+".name", &node.Name); err != nil {
			return err
		}
		address := ""
		if len(draft.Nodes) == 1 {
			address = node.Name + ".local"
		}
		if err := i.set(draft, called+", address", address, path+".address", &node.Address); err != nil {
			return err
		}
		question := called + ", data disk (ls /dev/disk/by-id on the board; or the UUID of its file system)"
		err := i.ask(question, "", func(answer string) string {
			if node.Disk = answer; answer == "" {
				return "a board of the cloud needs a disk for the shares"
			}
			return objection(*draft, path+".disks")
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (i *interview) virtual(draft *clusterDraft) error {
	if draft.Subnet == "" {
		return nil
	}
	err := i.ask("Virtual address that moves to a healthy board, none for none", "none", func(answer string) string {
		if draft.VIP = answer; answer == "none" {
			draft.VIP = ""
		}
		return objection(*draft, "network.vip")
	})
	if err != nil || draft.VIP == "" {
		return err
	}
	for n := range draft.Nodes {
		node := &draft.Nodes[n]
		if node.Interface != "" {
			continue
		}
		if err := i.set(draft, "Network interface of "+node.Name, "eth0", fmt.Sprintf("nodes[%d].interface", n), &node.Interface); err != nil {
			return err
		}
	}
	return nil
}

func (i *interview) people(draft *clusterDraft) error {
	question, proposal := "Administrator, name of the account", os.Getenv("USER")
	if proposal == "root" {
		proposal = ""
	}
	for {
		last := len(draft.Users)
		done := false
		err := i.ask(question, proposal, func(answer string) string {
			if done = answer == "" && last > 0; done {
				return ""
			}
			if answer == "" {
				return "somebody must administer the cloud"
			}
			with := *draft
			with.Users = append(with.Users[:last:last], answer)
			if problem := objection(with, fmt.Sprintf("users[%d]", last)); problem != "" {
				return problem
			}
			*draft = with
			return ""
		})
		if err != nil || done {
			return err
		}
		question, proposal = "Another user, Enter for no more", ""
	}
}
