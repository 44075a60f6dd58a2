#!/usr/bin/env bash
# fuzz.sh [TIME]: every fuzz target of the product for TIME (default 30s each).
set -euo pipefail
cd "$(dirname "$0")/.."
grep -rlE '^func Fuzz' --include '*_test.go' internal cmd images | while read -r file; do
  for target in $(sed -nE 's/^func (Fuzz[A-Za-z0-9_]*)\(.*/\1/p' "$file"); do
    go test -run '^$' -fuzz "^$target\$" -fuzztime "${1:-30s}" -fuzzminimizetime 2s "./$(dirname "$file")"
  done
done
