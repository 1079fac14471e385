#!/bin/sh
# Runs a command as tests/private-etc.sh does, but inside another system: the root in a tar file, unpacked into memory. This
# source folder is there, too, at its own path, so that what cargo has built runs. The machine's own files are only read.
#
#   tests/in-root.sh target/roots/hosts-trixie.tar target/debug/deps/hosts-… --ignored
set -eu
umask 022

fail() {
    echo "in-root.sh: $*" >&2
    exit 2
}

source=$(cd "$(dirname "$0")/.." && pwd)

if [ "${1-}" != --inside ]; then
    [ $# -gt 1 ] || fail "which root, and which command?"
    [ -r "$1" ] || fail "cannot read $1; 'make $1' makes it"
    [ "$(id -u)" = 0 ] || fail "needs root, to make a mount namespace"
    exec unshare --mount --propagation private -- "$0" --inside "$@"
fi
tar=$2
shift 2

# The tar file may lie where the new root hides it: it is read before.
root=/mnt
exec 3< "$tar"
mount -t tmpfs -o mode=755,size=2G tmpfs "$root"
tar -C "$root" -x <&3
exec 3<&-

# private-etc.sh takes it from here, and needs the devices and a name for the loopback address.
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
printf '127.0.0.1 localhost\n::1 localhost\n127.0.1.1 %s\n' "$(uname -n)" > "$root/etc/hosts"
mkdir -p "$root$source"
mount --bind "$source" "$root$source"
exec chroot "$root" sh -c 'cd "$0" && exec tests/private-etc.sh "$@"' "$source" "$@"
