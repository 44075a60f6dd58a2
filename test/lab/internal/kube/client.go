// Package kube speaks to the API of a lab: enough to apply the few objects the lab brings
// along and to wait for nodes. It is plain HTTPS, because client-go alone would make the
// command three times its size and its build ten times as long.
package kube

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/tmorin/homecloud/test/lab/internal/pki"
)

// A Client is the administrator of one lab.
type Client struct {
	server string
	http   *http.Client
}

// NewClient speaks to server with the certificate of that name.
func NewClient(server string, keys *pki.Dir, name string) (*Client, error) {
	authority, err := os.ReadFile(keys.File("ca.crt"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)
	own, err := tls.LoadX509KeyPair(keys.File(name+".crt"), keys.File(name+".key"))
	if err != nil {
		return nil, err
	}
	return &Client{server: server, http: &http.Client{
		Timeout:   10 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS12}},
	}}, nil
}

// Do sends a request and decodes the answer into out, unless that is nil; a *string gets it
// as it is.
func (c *Client) Do(ctx context.Context, method, path, kind string, body []byte, out any) error {
	req, err := http.NewRequestWithContext(ctx, method, c.server+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		var status struct{ Message string }
		_ = json.Unmarshal(answer, &status)
		if status.Message == "" {
			status.Message = strings.TrimSpace(string(answer))
		}
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, status.Message)
	}
	switch out := out.(type) {
	case nil:
		return nil
	case *string:
		*out = string(answer)
		return nil
	}
	return json.Unmarshal(answer, out)
}

// Ready says whether the API serves.
func (c *Client) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return c.Do(ctx, http.MethodGet, "/readyz", "", nil, nil)
}

// object is the part of an object that says where it lives.
type object struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
	} `json:"metadata"`
}

// path is where an object is found. The plural is guessed from the kind: discovery would
// cost more than the few kinds are worth, and a wrong guess is a 404 at the first try.
func (o object) path() string {
	base := "/apis/" + o.APIVersion
	if !strings.Contains(o.APIVersion, "/") {
		base = "/api/" + o.APIVersion
	}
	if o.Metadata.Namespace != "" {
		base += "/namespaces/" + o.Metadata.Namespace
	}
	plural := strings.ToLower(o.Kind)
	switch {
	case strings.HasSuffix(plural, "s"):
		plural += "es"
	case strings.HasSuffix(plural, "y"):
		plural = strings.TrimSuffix(plural, "y") + "ies"
	default:
		plural += "s"
	}
	return base + "/" + plural + "/" + o.Metadata.Name
}

// Apply brings objects, YAML documents, to the wanted state by server-side apply: nothing
// happens when nothing differs.
func (c *Client) Apply(ctx context.Context, documents string) error {
	for doc := range strings.SplitSeq(documents, "\n---\n") {
		var o object
		if err := yaml.Unmarshal([]byte(doc), &o); err != nil {
			return err
		}
		if err := c.Do(ctx, http.MethodPatch, o.path()+"?fieldManager=lab&force=true", "application/apply-patch+yaml", []byte(doc), nil); err != nil {
			return err
		}
	}
	return nil
}

// Base are the objects each lab starts with: DNS, the storage class, and what the lab's
// own processes may do.
//
//go:embed base.yaml
var Base string

// Delete removes the objects of YAML documents; those that aren't there are fine.
func (c *Client) Delete(ctx context.Context, documents string) error {
	for doc := range strings.SplitSeq(documents, "\n---\n") {
		var o object
		if err := yaml.Unmarshal([]byte(doc), &o); err != nil {
			return err
		}
		if err := c.Do(ctx, http.MethodDelete, o.path(), "", nil, nil); err != nil && !strings.Contains(err.Error(), "404 ") {
			return err
		}
	}
	return nil
}

// conditions are what a node or a deployment says about itself.
type conditions struct {
	Status struct {
		Conditions []struct {
			Type, Status      string
			LastHeartbeatTime time.Time
		} `json:"conditions"`
	} `json:"status"`
}

// has says whether a condition is true and, for nodes, was said after a time.
func (c conditions) has(kind string, since time.Time) bool {
	for _, x := range c.Status.Conditions {
		if x.Type == kind {
			return x.Status == "True" && (since.IsZero() || x.LastHeartbeatTime.After(since))
		}
	}
	return false
}

// NodeReady says whether a node is Ready, by its own word since it was started: the API
// goes on saying so for a while after a node is lost.
func (c *Client) NodeReady(ctx context.Context, name string, started time.Time) bool {
	var n conditions
	return c.Do(ctx, http.MethodGet, "/api/v1/nodes/"+name, "", nil, &n) == nil && n.has("Ready", started)
}

// DNSReady says whether names are resolved.
func (c *Client) DNSReady(ctx context.Context) bool {
	var d conditions
	return c.Do(ctx, http.MethodGet, "/apis/apps/v1/namespaces/kube-system/deployments/coredns", "", nil, &d) == nil && d.has("Available", time.Time{})
}
