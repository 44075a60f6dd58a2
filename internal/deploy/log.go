package deploy

import (
	"fmt"
	"log/slog"
	"strings"
)

func debugLog(format string, arguments ...any) {
	slog.Debug(strings.TrimSpace(fmt.Sprintf(format, arguments...)), "from", "helm")
}
