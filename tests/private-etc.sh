#!/bin/sh
# Runs a command as root with an /etc, /run, /dev, /var/lib, /var/log, /var/spool/cron and debconf of its own, and process numbers
# of its own: what it changes there, and what it leaves running, is gone when it ends. The machine's own files are only read.
# The command finds PAM stacks as Debian installs them, and no trace of pam_onelogin, whatever this machine has.
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

# The same for what is kept below /var/lib (the tool's records, those of pam-auth-update), for debconf, and for the profiles of
# pam-auth-update.
for folder in /var/lib /var/cache/debconf /usr/share/pam-configs; do
    [ -d "$folder" ] || continue
    layers=/run/private/$(echo "$folder" | tr / -)
    mkdir "$layers" "$layers/upper" "$layers/work"
    mount -t overlay -o "lowerdir=$folder,upperdir=$layers/upper,workdir=$layers/work" overlay "$folder" ||
        fail "an overlay on $folder cannot be mounted"
done

# What is written and removed below must lie in the layers: a link that leads out of them becomes a copy.
for link in /etc/ssh /etc/ssh/sshd_config.d /etc/pam_onelogin /etc/systemd /etc/systemd/system /etc/pam.d /etc/pam.d/* \
    /var/lib/pam /var/lib/pam_onelogin; do
    [ -L "$link" ] || continue
    real=$(readlink -f "$link")
    rm "$link"
    [ ! -e "$real" ] || cp -a "$real" "$link"
done

# What pam_onelogin leaves on a machine. Of sshd's settings, also those of others: the tests bring all that they need.
rm -rf /var/lib/pam_onelogin /etc/pam_onelogin /etc/systemd/system/pam-onelogin* /etc/ssh/sshd_config.d/*
rm -f /usr/share/pam-configs/onelogin

# Stacks. One of a package stays if it is as the package brought it, else it becomes ours of the same name.
if command -v dpkg-query >/dev/null; then
    dpkg-query --show --showformat='${Conffiles}\n' > /run/private/conffiles
    for stock in "$(dirname "$0")"/stock/*; do
        stack=/etc/pam.d/${stock##*/}
        [ -e "$stack" ] || continue
        sum=$(md5sum < "$stack")
        grep -q "^ $stack ${sum%% *}" /run/private/conffiles || cat "$stock" > "$stack"
    done
fi
for stack in $(grep -ls pam_onelogin /etc/pam.d/*); do
    case $stack in
    /etc/pam.d/common-*) ;;
    *) rm "$stack" ;;
    esac
done
# pam-auth-update makes the common ones anew, with the profiles that packages switch on.
if command -v pam-auth-update >/dev/null; then
    rm -f /etc/pam.d/common-* /var/lib/pam/*
    echo 'libpam-runtime libpam-runtime/profiles multiselect unix' | debconf-set-selections
    DEBIAN_FRONTEND=noninteractive pam-auth-update --package --force || fail "pam-auth-update cannot make the common stacks"
fi

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
