#!/bin/sh
# Runs test programs as root on each release: with this machine's own libpam, sshd, sudo, su and login, and with those of the
# root in a tar file. All at once, as they mostly wait; what each says is shown when it has ended.
#
#   tests/on-each-release.sh target/roots/hosts-trixie.tar target/debug/deps/hosts-…
set -eu
cd "$(dirname "$0")/.."

root=$1
shift
said=target/hosts
rm -rf "$said"
mkdir -p "$said/tried"
# Where the tests write what they have tried, for tests/hosts-table.sh.
export PAM_ONELOGIN_TRIED="$PWD/$said/tried"

runs=
for program; do
    name=$(basename "$program")
    name=${name%-*}
    tests/private-etc.sh "$program" --include-ignored --test-threads=2 > "$said/$name.here" 2>&1 &
    runs="$runs $!:$name.here"
    tests/in-root.sh "$root" "$program" --include-ignored --test-threads=2 > "$said/$name.there" 2>&1 &
    runs="$runs $!:$name.there"
done

worst=0
for run in $runs; do
    name=${run#*:}
    status=0
    wait "${run%%:*}" || status=$?
    case $name in
    *.here) where='on this machine' ;;
    *) where="in $root" ;;
    esac
    echo "With root, ${name%.*} $where:"
    cat "$said/$name"
    [ "$status" = 0 ] || worst=1
done
exit "$worst"
