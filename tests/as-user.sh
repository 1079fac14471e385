#!/bin/sh
# Runs a test program as an ordinary user. The Makefile gives this script to cargo where root runs the tests.
#
#   tests/as-user.sh target/debug/deps/cache-…
#
# The user is `bin`: every system has this account, and no test logs in as it. The tests need an account in passwd, because
# `make demo` logs in as whoever runs it. `nobody` does not serve: most tests log in as nobody, and the module takes a process
# of the user's own for a proof of the user.
set -eu

case ${1##*/} in
# These tests run cargo, which is often below root's home.
supply-*) exec "$@" ;;
esac

exec setpriv --reuid=bin --regid=bin --clear-groups env HOME=/nonexistent TMPDIR=/tmp "$@"
