#!/usr/bin/env bash
# A standalone Flink cluster on this machine: start, run, status, stop. See --help.
set -euo pipefail
exec python3 "$(dirname "${BASH_SOURCE[0]}")/flink_cluster/main.py" "$@"
