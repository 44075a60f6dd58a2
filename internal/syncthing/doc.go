// Package syncthing makes a node's Syncthing what the cluster file says:
// identities, the files it starts from, and then everything else through its
// REST interface, so that a newer Syncthing may have migrated its own files.
//
// It never touches what a share holds. What it must never do is make
// Syncthing announce that files were deleted when only a disk was emptied or
// replaced; see Reconciler.
package syncthing
