#!/usr/bin/env bash
# A real Flink cluster on this machine takes a spike that it could not have taken alone. See --help.
set -euo pipefail
if ! command -v python3 >/dev/null; then
  echo "demo: please install python3 (Debian: python3)" >&2
  exit 69
fi
if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 9))'; then
  echo "demo: Python 3.9 or newer is needed, this is $(python3 -V)" >&2
  exit 69
fi
scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PYTHONPATH="$scripts${PYTHONPATH:+:$PYTHONPATH}" exec python3 -m demo "$@"
