#!/bin/sh
# Builds what the packages have in machine code. One build serves both: it runs with glibc 2.28 (EL 8) and newer. The debug
# information goes into a file beside it. The same source gives the same bytes, in whatever folder.
#
#   packaging/programs.sh OUT
#
# Takes from the environment: LINKER (the folder with zig and cargo-zigbuild: requirements.txt), CARGO, CARGO_HOME, ARCH (of the
# packages; this machine's if it is not there) and OBJCOPY (for that).
set -eu
cd "$(dirname "$0")/.."
source=$(pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
cargo=${CARGO:-cargo}
arch=${ARCH:-$(uname -m)}
target=$arch-unknown-linux-gnu

PATH=$(cd "$LINKER" && pwd):$PATH
ZIG_GLOBAL_CACHE_DIR=$out/cache ZIG_LOCAL_CACHE_DIR=$out/cache CARGO_ZIGBUILD_CACHE_DIR=$out/cache
export PATH ZIG_GLOBAL_CACHE_DIR ZIG_LOCAL_CACHE_DIR CARGO_ZIGBUILD_CACHE_DIR

# What is asked of libpam, with the version that each has had since the first. A name that is missing here does not link: look
# first whether the libpam of EL 8, Linux-PAM 1.3.1, has it.
mkdir -p "$out/libpam"
for name in pam_get_user pam_get_item pam_set_item pam_getenv pam_fail_delay pam_start pam_end pam_authenticate pam_acct_mgmt \
    pam_setcred pam_open_session pam_close_session pam_chauthtok pam_putenv pam_getenvlist pam_strerror pam_get_data pam_set_data; do
    echo "void $name(void) {}"
done > "$out/libpam/pam.c"
echo 'LIBPAM_1.0 { global: pam_*; local: *; };' > "$out/libpam/pam.map"
python3 -m ziglang cc -target "$arch-linux-gnu.2.28" -shared -nostdlib -Wl,-soname,libpam.so.0 \
    -Wl,--version-script="$out/libpam/pam.map" -o "$out/libpam/libpam.so" "$out/libpam/pam.c"

# Names of folders are not part of the programs. zig compiles the start code and the unwinder itself, and notes where it found them
# and where it ran: both are made the same words everywhere.
crates=$("$cargo" metadata --locked --format-version 1 | sed -n 's|.*"manifest_path":"\([^"]*\)/ring-[0-9.]*/Cargo.toml".*|\1|p')
python=$(command -v python3)
library=$("$python" -c 'import os, ziglang; print(os.path.dirname(ziglang.__file__))')/lib
test -d "$crates" && test -d "$library"
cat > "$out/link.sh" <<END
#!/bin/sh
cd '$library'
export PWD=/proc/self/cwd ZIG_LIB_DIR=/proc/self/cwd
export CARGO_ZIGBUILD_ZIG_COMMAND='$python' CARGO_ZIGBUILD_ZIG_COMMAND_ARGS='-m ziglang'
export CARGO_ZIGBUILD_ZIG_VERSION=$("$python" -m ziglang version)
exec cargo-zigbuild zig cc -- -g -fno-sanitize=all -target $arch-linux-gnu.2.28 "\$@"
END
chmod +x "$out/link.sh"
RUSTFLAGS="--remap-path-prefix=$source=/usr/src/pam_onelogin --remap-path-prefix=$crates=/usr/src/crates"
RUSTFLAGS="$RUSTFLAGS --remap-path-prefix=$out=/usr/src/built -Lnative=$out/libpam -Clinker-flavor=gcc -Clinker=$out/link.sh"
RUSTFLAGS="$RUSTFLAGS -Clink-arg=-Wl,--build-id=sha1"
CFLAGS="-g0 -ffile-prefix-map=$crates=/usr/src/crates -ffile-prefix-map=$out=/usr/src/built"
export CFLAGS RUSTFLAGS CARGO_PROFILE_RELEASE_DEBUG=line-tables-only CARGO_PROFILE_RELEASE_STRIP=none

# As in the Makefile: the cdylib alone; then the tool.
build() {
    cargo-zigbuild "$@" --quiet --locked --target "$target.2.28" --target-dir "$out"
}
build rustc --release -p pam_onelogin --lib --crate-type cdylib
build zigbuild --profile tool -p pam-onelogin

# $1 becomes $2, without what only a debugger reads, and $2.debug with it.
split() {
    "${OBJCOPY:-objcopy}" --only-keep-debug "$1" "$out/$2.debug"
    "${OBJCOPY:-objcopy}" --strip-all --add-gnu-debuglink="$out/$2.debug" "$1" "$out/$2"
}
split "$out/$target/release/libpam_onelogin.so" pam_onelogin.so
split "$out/$target/tool/pam-onelogin" pam-onelogin
