#!/bin/sh
# Runs a command as root with an /etc, /run, /dev, /var/lib, /var/log, /var/spool/cron and debconf of its own, and process numbers
# of its own: what it changes there, and what it leaves running, is gone when it ends. The machine's own files are only read.
#
#   tests/private-etc.sh cargo test --test hosts -- --ignored
set -eu
umask 022

fail() {
    echo "private-etc.sh: $*" >&2
    exit 2
}

if [ "${1-}" != --inside ]; then
    [ $# -gt 0 ] || fail "which command?"
    [ "$(id -u)" = 0 ] || fail "needs root, to make a mount namespace"
    set -- "$0" --inside "$@"
    unshare --mount --propagation private --pid --fork --mount-proc true ||
        fail "this system does not allow namespaces of mounts and processes"
    exec unshare --mount --propagation private --pid --fork --kill-child --mount-proc -- "$@"
fi
shift

# /run, with room for the layers of the rest.
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/private /run/home /run/lock /run/sshd

# /etc: writes go to a layer above the machine's own.
mkdir /run/private/upper /run/private/work
mount -t overlay -o lowerdir=/etc,upperdir=/run/private/upper,workdir=/run/private/work overlay /etc ||
    fail "an overlay on /etc cannot be mounted"

# The same for what is kept below /var/lib (the tool's records, those of pam-auth-update), and for debconf.
for folder in /var/lib /var/cache/debconf; do
    [ -d "$folder" ] || continue
    layers=/run/private/$(echo "$folder" | tr / -)
    mkdir "$layers" "$layers/upper" "$layers/work"
    mount -t overlay -o "lowerdir=$folder,upperdir=$layers/upper,workdir=$layers/work" overlay "$folder" ||
        fail "an overlay on $folder cannot be mounted"
done

# Login records, logs, sudo's records of who was lectured, and the jobs of this machine, which must not run a second time.
for folder in /var/log /var/lib/sudo /var/spool/cron; do
    [ ! -d "$folder" ] || mount -t tmpfs -o mode=755 tmpfs "$folder"
done

# /dev: the usual devices, terminals of our own, and no log socket yet.
dev=/run/private/dev
mkdir "$dev"
mount -t tmpfs -o mode=755 tmpfs "$dev"
for device in null zero full random urandom tty; do
    : > "$dev/$device"
    mount --bind "/dev/$device" "$dev/$device"
done
mkdir "$dev/pts" "$dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid="$(getent group tty | cut -d: -f3)" devpts "$dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$dev/shm"
ln -s pts/ptmx "$dev/ptmx"
ln -s /proc/self/fd "$dev/fd"
ln -s fd/0 "$dev/stdin"
ln -s fd/1 "$dev/stdout"
ln -s fd/2 "$dev/stderr"
mount --move "$dev" /dev

export PAM_HOST_PRIVATE_ETC=1
status=0
"$@" || status=$?
exit "$status"
