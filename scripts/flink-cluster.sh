#!/usr/bin/env bash
# A standalone Flink cluster on this machine: start, run, status, stop. See --help.
set -euo pipefail
scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PYTHONPATH="$scripts${PYTHONPATH:+:$PYTHONPATH}" exec python3 -m flink_cluster "$@"
