package imagestore

import "time"

// Hurry lets attempts follow each other at once.
func (s *Store) Hurry() { s.pause = time.Microsecond }
