package syncthing_test

import (
	"os"
	"testing"

	"github.com/tmorin/homecloud/internal/disk/disktest"
)

func TestMain(m *testing.M) { os.Exit(disktest.Main(m)) }
