#!/bin/sh
# Runs a command as root as on a machine that uses pam_onelogin, and whose admin has edited stacks: with copies of /etc, /var/lib
# and /usr/share/pam-configs in which such changes are made. The machine's own folders are only read.
#
#   tests/leftovers.sh tests/private-etc.sh target/debug/deps/tool_enable-… --ignored
#
# They are copies because private-etc.sh mounts overlays on these folders, and Linux stacks two overlays at most: in a container,
# the root is one already. Of /var/lib, only what the tests read is copied.
set -eu
umask 022

if [ "${1-}" != --inside ]; then
    exec unshare --mount --propagation private -- "$0" --inside "$@"
fi
shift

copy() { # FOLDER NAME…
    folder=$1
    shift
    mount -t tmpfs -o mode=755 tmpfs /mnt
    for name; do
        [ ! -e "$folder/$name" ] || cp -a "$folder/$name" /mnt
    done
    mount --move /mnt "$folder"
}
copy /etc .
copy /var/lib dpkg pam
[ ! -d /usr/share/pam-configs ] || copy /usr/share/pam-configs .

leave() { # FILE TEXT
    mkdir -p "${1%/*}"
    printf '%b' "$2" > "$1"
}

# A line that no profile of pam-auth-update has: it takes common-auth for edited by hand, and does not write it any more.
sed -i '/^auth/i auth optional pam_faildelay.so delay=0' /etc/pam.d/common-auth
leave /usr/share/pam-configs/onelogin \
    'Name: An earlier version\nDefault: no\nPriority: 128\nAuth-Type: Additional\nAuth:\n\trequired\tpam_onelogin.so\n'

# Stacks that ask OneLogin, settings of sshd, a configuration, and the folder of the tool's records with a mode that it refuses.
for stack in sudo sudo-i sshd su; do
    sed -i '1a auth required pam_onelogin.so' "/etc/pam.d/$stack"
done
leave /etc/pam.d/of-this-machine 'auth required pam_onelogin.so\n'
leave /etc/ssh/sshd_config.d/00-onelogin.conf 'AuthenticationMethods publickey,keyboard-interactive\n'
leave /etc/pam_onelogin/config.toml '[onelogin]\n'
mkdir -m 755 /var/lib/pam_onelogin

# Links that lead out of /etc. What they lead to must stay as it is.
outside=$(mktemp -d)
mv /etc/ssh/sshd_config.d "$outside"
ln -s "$outside/sshd_config.d" /etc/ssh/sshd_config.d
mv /etc/pam.d/sudo "$outside"
ln -s "$outside/sudo" /etc/pam.d/sudo
before=$(cat "$outside/sudo" "$outside"/sshd_config.d/* | md5sum)

status=0
"$@" || status=$?
after=$(cat "$outside/sudo" "$outside"/sshd_config.d/* | md5sum)
rm -rf "$outside"
if [ "$before" != "$after" ]; then
    echo "leftovers.sh: files outside of /etc were changed" >&2
    exit 1
fi
exit "$status"
