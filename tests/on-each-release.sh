#!/bin/sh
# Runs test programs as root on each release: with this machine's own libpam, sshd, sudo, su and login, and with those of the
# root in a tar file. All at once, as they mostly wait; what each says is shown when it has ended. On this machine, the tests also
# find what pam_onelogin and an admin leave there (tests/leftovers.sh), and must not notice.
#
#   tests/on-each-release.sh target/roots/hosts-trixie.tar target/debug/deps/hosts-…
set -eu
cd "$(dirname "$0")/.."

[ $# -gt 1 ] || { echo 'on-each-release.sh: which root, and which test programs?' >&2; exit 2; }
root=$1
shift
said=target/hosts
rm -rf "$said"
mkdir -p "$said/tried"
# Where the tests write what they have tried, for tests/hosts-table.sh.
export PAM_ONELOGIN_TRIED="$PWD/$said/tried"

runs=
start() { # NAME COMMAND…
    file=$1
    shift
    "$@" --include-ignored --test-threads=2 > "$said/$file" 2>&1 &
    runs="$runs $!:$file"
}
# The Python programs of tests/clients are for this machine's Python.
here=${SKIP_HERE-}
there='--skip asyncssh --skip ansible'
for program; do
    name=$(basename "$program")
    name=${name%-*}
    # A stage is for one test at a time, so those with sshd have one of their own.
    for part in sshd --skip=sshd; do
        tests=$("$program" --list "$part") || { echo "on-each-release.sh: $program cannot say which tests it has" >&2; exit 1; }
        echo "$tests" | grep -q ': test$' || continue
        # shellcheck disable=SC2086 # words
        start "$name.$part.here" tests/leftovers.sh tests/private-etc.sh "$program" "$part" $here
        # shellcheck disable=SC2086
        start "$name.$part.there" tests/in-root.sh "$root" "$program" "$part" $there
    done
done

[ -n "$runs" ] || { echo 'on-each-release.sh: these programs have no test' >&2; exit 1; }
worst=0
for run in $runs; do
    name=${run#*:}
    status=0
    wait "${run%%:*}" || status=$?
    case $name in
    *.here) where='on this machine' ;;
    *) where="in $root" ;;
    esac
    echo "With root, $(echo "${name%.*}" | tr . ' ') $where:"
    cat "$said/$name"
    [ "$status" = 0 ] || worst=1
done
exit "$worst"
