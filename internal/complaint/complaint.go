// Package complaint is how daemons say in their logs that something isn't as
// it should be, and how whoever reads a log knows what still isn't.
package complaint

import (
	"bytes"
	"log/slog"

	"github.com/go-logfmt/logfmt"
)

// The attributes that make a line a complaint: a warning raises one, anything
// milder about the same ends it.
const (
	about   = "about"
	because = "because"
)

// What a closed gate complains about, and how its reason begins when the disk
// isn't there: it opens by itself when somebody brings the disk back.
const (
	Gate   = "gate"
	NoDisk = "no disk at "
)

// Raise logs that something isn't as it should be. It replaces what was raised
// about the same before.
func Raise(log *slog.Logger, message, subject, reason string) {
	log.Warn(message, about, subject, because, reason)
}

// Settle logs that it is, with further attributes.
func Settle(log *slog.Logger, message, subject string, attributes ...any) {
	log.Info(message, append([]any{about, subject}, attributes...)...)
}

// Complaint is what isn't as it should be.
type Complaint struct{ About, Because string }

// Open returns what was raised and not settled in the lines of a log in slog's
// text format, the oldest first. Other lines may lie between them.
func Open(log []byte) (open []Complaint) {
	for line := range bytes.Lines(log) {
		values := map[string]string{}
		decoder := logfmt.NewDecoder(bytes.NewReader(line))
		for decoder.ScanRecord() {
			for decoder.ScanKeyval() {
				values[string(decoder.Key())] = string(decoder.Value())
			}
		}
		subject, is := values[about]
		if !is || decoder.Err() != nil {
			continue // somebody else's line
		}
		kept := open[:0]
		for _, c := range open {
			if c.About != subject {
				kept = append(kept, c)
			}
		}
		open = kept
		if values[slog.LevelKey] == slog.LevelWarn.String() {
			open = append(open, Complaint{subject, values[because]})
		}
	}
	return open
}
