package secrets

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tmorin/homecloud/internal/config"
)

// Needed lists the secrets that the cluster's charts need, in the order in
// which they are written. A name appears here when what uses it is built.
func Needed(cluster *config.Cluster) []string {
	names := []string{}
	if len(cluster.DNAS.Nodes) > 0 {
		names = append(names, config.SecretAPIKey)
	}
	for _, node := range cluster.DNAS.Nodes {
		names = append(names, config.SecretCertificate(node), config.SecretKey(node))
	}
	for _, user := range cluster.Users {
		names = append(names, config.SecretUser(user.Name))
	}
	return names
}

// Surplus lists what the file holds and the cluster does not need (any more).
// It is kept: a user or a node may come back.
func (f *File) Surplus(cluster *config.Cluster) []string {
	needed := Needed(cluster)
	return slices.DeleteFunc(f.Names(), func(name string) bool {
		return slices.Contains(needed, name) || f.doc.meta.inClear(name)
	})
}

// otherHalf names the key of a certificate and the certificate of a key; empty
// for any other secret.
func otherHalf(name string) string {
	_, rest, _ := strings.Cut(name, ".")
	end := strings.LastIndexByte(rest, '.')
	if end < 0 {
		return ""
	}
	switch node := rest[:end]; name {
	case config.SecretCertificate(node):
		return config.SecretKey(node)
	case config.SecretKey(node):
		return config.SecretCertificate(node)
	}
	return ""
}

// checkName refuses a name that the cluster doesn't need, with the nearest
// that it does.
func checkName(cluster *config.Cluster, name string) error {
	needed := Needed(cluster)
	if slices.Contains(needed, name) {
		return nil
	}
	message := fmt.Sprintf("%s: no such secret in this cluster", name)
	if near := nearest(name, needed); near != "" {
		return fmt.Errorf("%s; did you mean %s?", message, near)
	}
	if user, isUser := strings.CutPrefix(name, "users."); isUser {
		return fmt.Errorf("%s; add the user %s to the cluster file first", message, user)
	}
	return fmt.Errorf("%s; hcchart secrets list shows their names", message)
}

// nearest finds what was probably meant, also the user whose name was written
// alone. A user is only compared with users: the common beginning would make
// all their names alike.
func nearest(name string, among []string) string {
	var users []string
	for _, known := range among {
		if user, isUser := strings.CutPrefix(known, config.SecretUser("")); isUser {
			users = append(users, user)
		}
	}
	user, isUser := strings.CutPrefix(name, config.SecretUser(""))
	if meant := config.Suggest(user, users); meant != "" {
		return config.SecretUser(meant)
	}
	if isUser {
		return ""
	}
	return config.Suggest(name, among)
}
