package complaint_test

import (
	"bytes"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tmorin/homecloud/internal/complaint"
)

func TestOnlyWhatIsStillWrongIsOpen(t *testing.T) {
	var written bytes.Buffer
	log := slog.New(slog.NewTextHandler(&written, nil))
	complaint.Raise(log, "gate closed", "gate", "nothing is mounted")
	complaint.Raise(log, "not as wanted", "share photos", `says "no", = and \`+"\nmore")
	complaint.Raise(log, "not as wanted", "share music", "first")
	written.WriteString("smbd: a line of somebody's \"own\" = about=nothing\n\xff\x00\n")
	log.Info("another line", "because", "of nothing")
	complaint.Settle(log, "gate open", "gate", "pid", 7)
	complaint.Raise(log, "not as wanted", "share music", "second")

	require.Equal(t, []complaint.Complaint{
		{"share photos", `says "no", = and \` + "\nmore"},
		{"share music", "second"},
	}, complaint.Open(written.Bytes()))
	require.Empty(t, complaint.Open(nil))
}
