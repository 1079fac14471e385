#!/bin/sh
# Drives the simulator over HTTPS with two published versions of OneLogin's own Python package.
#
#   tests/clients/run.sh [SIMULATOR]
#
# Without an argument the simulator is built first. The packages go to virtual environments below target/clients, once.
# Exit status: 0 all passed, 1 something failed, 77 skipped, because Python or its packages cannot be had here.

set -eu
cd "$(dirname "$0")/../.."
here=tests/clients
environments=target/clients
PYTHONDONTWRITEBYTECODE=1
NO_PROXY=localhost,127.0.0.1 no_proxy=localhost,127.0.0.1
export PYTHONDONTWRITEBYTECODE NO_PROXY no_proxy

tests/clients/environment.sh v4
tests/clients/environment.sh v2

if [ $# -gt 0 ]; then
  simulator=$1
else
  ${CARGO:-cargo} build --quiet --locked --package onelogin-simulator
  simulator=${CARGO_TARGET_DIR:-target}/debug/onelogin-simulator
fi

[ -x "$simulator" ] || { echo "run.sh: there is no program $simulator" >&2; exit 1; }

status=0
for version in v4 v2; do
  "$environments/$version/bin/python" "$here/$version.py" "$simulator" || status=1
done
exit $status
