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
PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
NO_PROXY=localhost,127.0.0.1 no_proxy=localhost,127.0.0.1
export PYTHONDONTWRITEBYTECODE PIP_DISABLE_PIP_VERSION_CHECK PIP_NO_INPUT NO_PROXY no_proxy

skip() {
  echo "SKIPPED: the clients of others, as $1" >&2
  exit 77
}

# environment VERSION: an environment with exactly the packages of its requirements file.
environment() {
  folder=$environments/$1 wanted=$here/requirements-$1.txt
  if cmp -s "$wanted" "$folder/requirements.txt" && "$folder/bin/python" -c 'import onelogin' 2>/dev/null; then return; fi
  rm -rf "$folder"
  mkdir -p "$environments"
  python3 -m venv "$folder" >/dev/null 2>&1 || skip 'python3 cannot make a virtual environment (Debian: python3-venv).'
  # The output of pip is not shown: it has the addresses of somebody's package index in it.
  "$folder/bin/python" -m pip install --quiet --requirement "$wanted" >/dev/null 2>&1 ||
    skip "pip cannot install $wanted (no package index, or no such packages for this Python)."
  cp "$wanted" "$folder/requirements.txt"
}

command -v python3 >/dev/null || skip 'there is no python3.'
environment v4
environment v2

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
