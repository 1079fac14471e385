#!/bin/sh
# Makes a virtual environment below target/clients, once, with exactly the packages of tests/clients/requirements-NAME.txt.
#
#   tests/clients/environment.sh NAME
#
# Exit status: 77, and a line that says SKIPPED, where Python or its packages cannot be had.

set -eu
cd "$(dirname "$0")/../.."
wanted=tests/clients/requirements-$1.txt
folder=target/clients/$1
PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
export PIP_DISABLE_PIP_VERSION_CHECK PIP_NO_INPUT

skip() {
  echo "SKIPPED: what needs $wanted, as $1" >&2
  exit 77
}

command -v python3 >/dev/null || skip 'there is no python3.'
if cmp -s "$wanted" "$folder/requirements.txt" && "$folder/bin/python" -c '' 2>/dev/null; then exit; fi
rm -rf "$folder"
mkdir -p target/clients
python3 -m venv "$folder" >/dev/null 2>&1 || skip 'python3 cannot make a virtual environment (Debian: python3-venv).'
# The output of pip is not shown: it has the addresses of somebody's package index in it.
"$folder/bin/python" -m pip install --quiet --requirement "$wanted" >/dev/null 2>&1 ||
  skip 'pip cannot install it (no package index, or no such packages for this Python).'
# Last: it says that the rest is complete.
cp "$wanted" "$folder/requirements.txt"
