#!/bin/sh
# The role of packaging/ansible on a real system, by a real ssh: installs, configures, switches on, finds drift, refuses a fault, rolls
# back without a new connection, switches off to the byte, removes. The system is a root in a tar file, in mount and process namespaces of its own; it shares
# the network with the simulator.
#
#   tests/ansible/run.sh ROOT.tar PACKAGE.deb    as "make test-ansible" calls it
set -eu
umask 022
cd "$(dirname "$0")/../.."
here=$(pwd)

fail() {
    echo "run.sh: $*" >&2
    exit 1
}

if [ "$1" != --inside ]; then
    [ "$(id -u)" = 0 ] || fail 'needs root, for namespaces'
    exec unshare --mount --propagation private --pid --fork --kill-child --mount-proc -- "$0" --inside "$@"
fi
tar=$2
package=$3
work=$(mktemp -d)
mount -t tmpfs -o mode=755,size=1G tmpfs "$work"
root=$work/root
mkdir "$root"
tar -C "$root" -xf "$tar"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
inside() {
    chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive "$@"
}

# --- a simulated OneLogin, a user, sshd ---------------------------------------------------------------------------

mkfifo "$work/commands" "$work/said"
"$here/target/debug/onelogin-simulator" --ca-out "$root/etc/simulator.pem" --exit-on-eof < "$work/commands" > "$work/said" &
exec 3> "$work/commands" 4< "$work/said"
# What the simulator says first: a word, then a value.
value() {
    read -r line <&4
    echo "${line##* }"
}
url=$(value)
value > /dev/null
id=$(value)
secret=$(value)
echo '127.0.0.1 localhost' > "$root/etc/hosts"
inside useradd --create-home alice
echo 'alice:Unix-Pass-1' | inside chpasswd
ssh-keygen -q -t ed25519 -N '' -f "$work/key"
mkdir -p "$root/root/.ssh" "$root/run/sshd"
chmod 700 "$root/root/.ssh"
cp "$work/key.pub" "$root/root/.ssh/authorized_keys"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
inside /usr/sbin/sshd -o ListenAddress=127.0.0.1 -o "Port=$port"

cat > "$work/inventory" <<END
[all]
host ansible_host=127.0.0.1 ansible_port=$port ansible_user=root ansible_python_interpreter=/usr/bin/python3
END
cat > "$work/right.yml" <<END
pam_onelogin_package_file: $package
pam_onelogin_client_secret: $secret
pam_onelogin_config: |
  [onelogin]
  url = "$url"
  client_id = "$id"
  client_secret_file = "/etc/pam_onelogin/client_secret"
  ca_file = "/etc/simulator.pem"
pam_onelogin_enabled: [sudo, su]
pam_onelogin_user: alice
pam_onelogin_trial_seconds: 60
END

# play ARGUMENTS…: what Ansible says is in $work/play, how many tasks changed something in $changed.
play() {
    status=0
    env ANSIBLE_ROLES_PATH="$here/packaging/ansible" ANSIBLE_HOST_KEY_CHECKING=False ANSIBLE_NOCOLOR=1 HOME="$work" \
        ANSIBLE_LOCAL_TEMP="$work/ansible" ANSIBLE_SSH_CONTROL_PATH_DIR="${control:-$work/shared}" ANSIBLE_SSH_ARGS='-o ControlMaster=auto -o ControlPersist=60s -o BatchMode=yes' \
        "$here/target/clients/ansible/bin/ansible-playbook" --inventory "${inventory:-$work/inventory}" --private-key "$work/key" \
        "$@" "$here/tests/ansible/site.yml" > "$work/play" 2>&1 || status=$?
    changed=$(sed -n 's/^host .*changed=\([0-9]*\) .*/\1/p' "$work/play")
    if grep -qF "$secret" "$work/play"; then fail 'the secret is in what Ansible says'; fi
}
works() {
    play "$@"
    [ "$status" = 0 ] || { cat "$work/play"; fail "the play failed: $*"; }
}
login() {
    printf 'Unix-Pass-1\n%s\n' "$1" | inside pamtester sudo alice authenticate > "$work/login" 2>&1
}
# The stacks, and the settings of sshd.
state() {
    (cd "$root/etc" && find pam.d ssh -type f -exec sha256sum {} + | LC_ALL=C sort)
}

# --- the story ----------------------------------------------------------------------------------------------------

state > "$work/before"
works --extra-vars "@$work/right.yml"
[ "$changed" -gt 0 ] || fail 'the first play changed nothing'
login 123456 || { cat "$work/login"; fail 'a right code was refused'; }
if login 999999; then fail 'a wrong code was accepted'; fi
state > "$work/enabled"
[ "$(stat -c '%a %u' "$root/etc/pam_onelogin/config.toml" "$root/etc/pam_onelogin/client_secret" | sort -u)" = '600 0' ] ||
    fail 'the configuration is readable for others'

works --extra-vars "@$work/right.yml"
[ "$changed" = 0 ] || { cat "$work/play"; fail 'the second play changed something'; }
echo 'installed, configured, switched on; a second play changes nothing'

# Somebody edits a stack: --check says so and leaves it, the next play puts it right.
sed -i /pam_onelogin/d "$root/etc/pam.d/sudo"
state > "$work/drifted"
works --check --extra-vars "@$work/right.yml"
[ "$changed" = 1 ] || { cat "$work/play"; fail "--check: $changed changes"; }
state | cmp - "$work/drifted"
works --extra-vars "@$work/right.yml"
state | cmp - "$work/enabled"
echo 'drift: --check names it, a play puts it right'

# A fault in the configuration.
sed 's/client_id /client_ids /; s/^pam_onelogin_client_secret: ./&0/' "$work/right.yml" > "$work/wrong.yml"
cp -a "$root/etc/pam_onelogin" "$work/config"
play --extra-vars "@$work/wrong.yml"
[ "$status" != 0 ] && grep -q 'is not a key' "$work/play" || { cat "$work/play"; fail 'a fault in the configuration passed'; }
diff -r "$work/config" "$root/etc/pam_onelogin"
echo 'a fault in the configuration: the play ends, the files stay'

# A tool that fails is no host without a fault.
cp -a "$root/usr/sbin/pam-onelogin" "$work/tool"
printf '#!/bin/sh\n[ "$1 $2" != "check --json" ] && exec /usr/sbin/pam-onelogin.real "$@"\n' > "$root/usr/sbin/pam-onelogin"
cp -a "$work/tool" "$root/usr/sbin/pam-onelogin.real"
play --extra-vars "@$work/right.yml"
[ "$status" != 0 ] && grep -q 'Check the host' "$work/play" || { cat "$work/play"; fail 'a check that says nothing passed'; }
mv "$root/usr/sbin/pam-onelogin.real" "$root/usr/sbin/pam-onelogin"
echo 'a tool that fails: the play ends'

# Switched off, and removed.
sed 's/^pam_onelogin_enabled.*/pam_onelogin_disabled: [sudo, su]/' "$work/right.yml" > "$work/off.yml"
works --check --extra-vars "@$work/off.yml"
[ "$changed" = 2 ] || { cat "$work/play"; fail "--check: $changed changes"; }
state | cmp - "$work/enabled"
works --extra-vars "@$work/off.yml"
state | cmp - "$work/before"
works --extra-vars "@$work/off.yml"
[ "$changed" = 0 ] || { cat "$work/play"; fail 'switching off again changed something'; }

# The new connection fails: the play ends, and the host rolls the change back.
cat > "$work/once.py" <<'END'
import os, select, socket, sys
os.mkdir(sys.argv[1])
server = socket.create_connection(("127.0.0.1", int(sys.argv[2])))
while True:
    for ready in select.select([0, server], [], [])[0]:
        data = os.read(0, 65536) if ready == 0 else server.recv(65536)
        if not data:
            sys.exit()
        server.sendall(data) if ready == 0 else os.write(1, data)
END
sed "s/^host.*/& ansible_ssh_common_args='-o ProxyCommand=\"python3 once.py used %p\"'/; s|once.py used|$work/once.py $work/used|" \
    "$work/inventory" > "$work/inventory-once"
sed 's/seconds: 60/seconds: 20/' "$work/right.yml" > "$work/short.yml"
inventory=$work/inventory-once
control=$work/control
mkdir "$control"
play --extra-vars "@$work/short.yml"
inventory= control=
[ "$status" != 0 ] && grep -q UNREACHABLE "$work/play" || { cat "$work/play"; fail 'the play went on without a new connection'; }
[ -e "$root/var/lib/pam_onelogin/trial/sudo.json" ] || fail 'nothing was on trial'
left=60
while [ -e "$root/var/lib/pam_onelogin/trial/sudo.json" ]; do
    left=$((left - 1))
    [ "$left" -gt 0 ] || fail 'the change was not rolled back'
    sleep 1
done
state | cmp - "$work/before"
echo 'without a new connection: the play ends, the host rolls the change back'

works --extra-vars "@$work/right.yml"
works --extra-vars 'pam_onelogin_state=absent'
state | cmp - "$work/before"
[ ! -e "$root/usr/sbin/pam-onelogin" ] || fail 'the package is still there'
echo 'switched off to the byte, and removed'
echo "$(. "$root/etc/os-release" && echo "$PRETTY_NAME"): the role works"
