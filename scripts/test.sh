#!/usr/bin/env bash
# All tests, or the named suites: scripts/test.sh [rust|java|python|parity|e2e|faults|smoke|publish|api]... See --help.
set -euo pipefail
if ! command -v python3 >/dev/null; then
  echo "test: please install python3 (Debian: python3)" >&2
  exit 69
fi
scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PYTHONPATH="$scripts${PYTHONPATH:+:$PYTHONPATH}" exec python3 -m suites "$@"
