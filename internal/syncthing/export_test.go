package syncthing

// SetFailpoint makes a reconciler ask at each named place whether it goes on.
func SetFailpoint(r *Reconciler, at func(place string) error) { r.failpoint = at }
