// Package secrets keeps a cluster's secrets in a file beside the cluster file,
// and brings them into Kubernetes.
//
// The file is a flat map of names to values in SOPS' own format: each value is
// encrypted with AES-256-GCM under its name, the data key is encrypted with
// age for every recipient, and a message authentication code covers all
// values. The sops program reads and edits the same file, and git shows which
// secret changed. The format is implemented here because linking SOPS brings
// the clients of five clouds with it (docs/decisions/0003-secrets-file.md).
//
// The package refuses three things: to write a file that it could not read and
// verify completely, to make a second identity for a Syncthing node that has
// one ("never re-key": peers would see another device), and to put a secret
// into a log, an error or an argument.
package secrets
