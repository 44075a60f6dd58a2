package syncthing

// SetBoot makes a session's board another one than this machine.
func SetBoot(s *Session, boot string) { s.boot = boot }

// SetFailpoint makes a reconciler ask at each named place whether it goes on.
func SetFailpoint(r *Reconciler, at func(place string) error) { r.failpoint = at }
