// Package disk knows what makes a mounted file system the right data disk of
// a home: its sentinel, its place in the mount table, its UUID, and that it
// really answers. It adopts disks and watches them. It knows nothing of the
// daemons that use them, and neither formats nor mounts.
package disk
