#!/bin/sh
# Makes the package of the built programs, one with their debug information, and the one for a gateway.
#
#   packaging/build.sh deb|rpm OUT
#
# Takes from the environment: MODULE and TOOL (as packaging/programs.sh leaves them), NFPM (the program), CARGO, SOURCE_DATE_EPOCH,
# MAINTAINER, HOMEPAGE (may be empty), VERSION (if it is not that of Cargo.toml), DEB_HOST_ARCH (if it is not this machine's)
# with RUN (what then runs its programs).
# What is in them: packaging/files. What they say of themselves: packaging/nfpm.yaml, packaging/nfpm-debug.yaml,
# packaging/nfpm-gateway.yaml.
set -eu
umask 022
cd "$(dirname "$0")/.."

format=$1
out=$2
mkdir -p "$out"
out=$(cd "$out" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

version=${VERSION:-$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"$/\1/p' Cargo.toml)}
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)}
arch=${DEB_HOST_ARCH:-$(dpkg --print-architecture)}
multiarch=$(dpkg-architecture -a"$arch" -qDEB_HOST_MULTIARCH)

# --- where things go ----------------------------------------------------------------------------------------------

PREFIX=/usr
SYSCONFDIR=/etc
DESTDIR=$work/root
BUILT=$work/built
case $format in
deb)
    name=libpam-onelogin
    debug=$name-dbgsym
    SECURITYDIR=/usr/lib/$multiarch/security
    ;;
rpm)
    name=pam_onelogin
    debug=$name-debuginfo
    SECURITYDIR=/usr/lib64/security
    ;;
*)
    echo "build.sh: deb or rpm, not $format" >&2
    exit 2
    ;;
esac
DOCDIR=/usr/share/doc/$name

# Where debuggers look for the debug information of a program.
build_id() {
    readelf --notes "$1" | sed -n 's|.*Build ID: \(..\)\(.*\)|\1/\2|p'
}
MODULE_ID=$(build_id "$MODULE")
TOOL_ID=$(build_id "$TOOL")
test -n "$MODULE_ID" && test -n "$TOOL_ID"
export MODULE TOOL MODULE_ID TOOL_ID PREFIX SYSCONFDIR DESTDIR BUILT SECURITYDIR DOCDIR

# --- what is made here --------------------------------------------------------------------------------------------

mkdir "$BUILT"

# The points of the newest version in CHANGELOG.md, one a line.
points=$(awk '
    /^## / { if (seen++) exit; next }
    seen && /^- / { if (point) print point; point = substr($0, 3); next }
    seen && /^  / && point { sub(/^ +/, ""); point = point " " $0; next }
    { if (point) print point; point = "" }
    END { if (point) print point }
' CHANGELOG.md | tr -d '`')
{
    printf '%s (%s) unstable; urgency=medium\n\n' "$name" "$version"
    printf '%s\n' "$points" | fold -s -w 74 | awk -v points="$points" '
        BEGIN { count = split(points, list, "\n"); for (i = 1; i <= count; i++) first[substr(list[i], 1, 20)] = 1 }
        { sub(/ +$/, ""); print (substr($0, 1, 20) in first ? "  * " : "    ") $0 }
    '
    printf '\n -- %s  %s\n' "$MAINTAINER" "$(LC_ALL=C date -u -R -d "@$epoch")"
} > "$BUILT/changelog"
{
    printf -- '- semver: "%s"\n  date: %s\n  packager: %s\n  changes:\n' \
        "$version" "$(date -u -d "@$epoch" +%Y-%m-%dT%H:%M:%SZ)" "$MAINTAINER"
    printf '%s\n' "$points" | sed -e "s/'/''/g" -e "s/.*/    - note: '&'/"
} > "$BUILT/changelog.yaml"

for shell in bash zsh fish; do
    ${RUN-} "$TOOL" completions "$shell" > "$BUILT/completions.$shell"
done

# In the version of modules that EL 8 reads.
if [ "$format" = rpm ]; then
    checkmodule -M -m -c 19 -o "$work/pam_onelogin.mod" packaging/selinux/pam_onelogin.te > "$work/said" || {
        cat "$work/said" >&2
        exit 1
    }
    semodule_package -o "$BUILT/pam_onelogin.pp" -m "$work/pam_onelogin.mod" -f packaging/selinux/pam_onelogin.fc
fi

packaging/sbom.sh module > "$BUILT/sbom.cdx.json"
packaging/sbom.sh tool > "$BUILT/sbom-tool.cdx.json"

packaging/install.sh install "$format" > /dev/null

# The crates in module and tool, with their licences.
crates=$("${CARGO:-cargo}" tree --locked -e normal,no-proc-macro -p pam_onelogin --prefix none -f ' {p}: {l}')
{
    printf 'Comment:\n The crates in this build, with their licences:\n'
    printf '%s\n' "$crates" | sed -e 's/ (\*)$//' -e '/^ pam_onelogin /d' | LC_ALL=C sort -u
} >> "$DESTDIR$DOCDIR/copyright"

# --- what the programs need ----------------------------------------------------------------------------------------

case $format in
deb)
    # With DEBIAN/ in it, the folder is a package to dpkg-shlibdeps.
    mkdir "$work/debian" "$DESTDIR/DEBIAN"
    printf 'Source: %s\n\nPackage: %s\nArchitecture: any\n' "$name" "$name" > "$work/debian/control"
    needs=$(cd "$work" && dpkg-shlibdeps --warnings=1 -O "root$SECURITYDIR/pam_onelogin.so" "root$PREFIX/sbin/pam-onelogin" | sed -n 's/^shlibs:Depends=//p')
    needs="$needs, libpam-runtime (>= 1.1.3-2~)"
    ;;
rpm)
    # By rpm itself, which writes "libc.so.6(GLIBC_2.34)(64bit)".
    needs=$(printf '%s\n' "$DESTDIR$SECURITYDIR/pam_onelogin.so" "$DESTDIR$PREFIX/sbin/pam-onelogin" | /usr/lib/rpm/elfdeps --requires | sort -u | paste -s -d,)
    needs="$needs,pam"
    ;;
esac

# --- the packages -------------------------------------------------------------------------------------------------

date=$(date -u -d "@$epoch" +%Y-%m-%dT%H:%M:%SZ)

script() {
    awk -v stacks=packaging/stacks.sh '
        $0 == "#STACKS#" { while ((getline line < stacks) > 0) print line; next }
        { print }
    ' "$scripts/$1" > "$work/$1"
    echo "  $2: $work/$1"
}

# The scripts of a package, from this folder.
scripts() {
    scripts=$1
    echo 'scripts:'
    case $format in
    deb)
        script postinst postinstall
        script prerm preremove
        script postrm postremove
        ;;
    rpm)
        script post postinstall
        script preun preremove
        script postun postremove
        ;;
    esac
}

# What a package of this name says of itself.
about() {
    sed -e "s|@NAME@|$1|; s|@OF@|$name|; s|@ARCH@|$arch|; s|@VERSION@|$version|; s|@DATE@|$date|; s|@MAINTAINER@|$MAINTAINER|" \
        -e "s|@BUILT@|$BUILT|; s|@IDS@|$(echo "$MODULE_ID $TOOL_ID" | tr -d /)|" \
        -e "/^# /{s/^# only $format: //;t;d;}" "packaging/$2"
    [ -z "${HOMEPAGE-}" ] || echo "homepage: $HOMEPAGE"
}

# The files of the list that are for $1.
contents() {
    echo 'contents:'
    packaging/install.sh list "$1" | while read -r _ kind mode _ destination; do
        source=$DESTDIR$destination
        attributes="mode: 0$mode, owner: root, group: root, mtime: $date"
        type=
        case $format:$kind in
        *:link) echo "  - {src: $(readlink "$source"), dst: $destination, type: symlink, file_info: {$attributes}}"; continue ;;
        *:dir) echo "  - {dst: $destination, type: dir, file_info: {$attributes}}"; continue ;;
        *:config) type=', type: config|noreplace' ;;
        rpm:man) type=', type: doc' ;;
        rpm:file) case $destination in "$DOCDIR"/*) type=', type: doc' ;; esac ;;
        esac
        case $kind:$destination in
        man:* | doc:*)
            gzip -9n "$source"
            source=$source.gz destination=$destination.gz
            ;;
        esac
        echo "  - {src: $source, dst: $destination$type, file_info: {$attributes}}"
    done
}

pack() {
    SOURCE_DATE_EPOCH=$epoch "$NFPM" package --packager "$format" --config "$1" --target "$out" > "$work/said" || {
        cat "$work/said" >&2
        exit 1
    }
}

{
    about "$name" nfpm.yaml
    echo 'depends:'
    printf '%s\n' "$needs" | tr ',' '\n' | sed -e 's/^ *//' -e 's/.*/  - "&"/'
    scripts "packaging/$format"
    contents "$format"
} > "$work/nfpm.yaml"
pack "$work/nfpm.yaml"

packaging/install.sh install "$format-debug" > /dev/null
{
    about "$debug" nfpm-debug.yaml
    contents "$format-debug"
} > "$work/nfpm-debug.yaml"
pack "$work/nfpm-debug.yaml"

packaging/install.sh install "$format-gateway" > /dev/null
{
    about pam-onelogin-gateway nfpm-gateway.yaml
    scripts "packaging/gateway/$format"
    contents "$format-gateway"
} > "$work/nfpm-gateway.yaml"
pack "$work/nfpm-gateway.yaml"
