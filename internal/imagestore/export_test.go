package imagestore

import "time"

// Hurry lets attempts follow each other at once.
func (s *Store) Hurry() { s.pause = time.Microsecond }

// Impatient gives a registry that falls silent up soon.
func (s *Store) Impatient() { s.remote.stalled = 100 * time.Millisecond }
