package secrets

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/tmorin/homecloud/internal/filelock"
)

// lockPatience is how long a writer waits for another one, which needs
// milliseconds.
const lockPatience = 10 * time.Second

// lock keeps other hcchart processes from changing the file until unlock.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	patient, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	unlock, err = filelock.Acquire(patient, path, os.O_RDWR)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return nil, fmt.Errorf("%s: another hcchart is changing it and does not end; nothing was written", path)
	}
	return unlock, err
}
