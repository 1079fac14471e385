#!/bin/sh
# Makes a package of a built module.
#
#   packaging/build.sh deb|rpm OUT
#
# Takes from the environment: MODULE (the built module), NFPM (the program), CARGO, SOURCE_DATE_EPOCH, MAINTAINER.
# What is in it: packaging/files. What it says of itself: packaging/nfpm.yaml.
set -eu
umask 022
cd "$(dirname "$0")/.."

format=$1
out=$2
mkdir -p "$out"
out=$(cd "$out" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"$/\1/p' Cargo.toml)
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)}
arch=$(dpkg --print-architecture)
multiarch=$(dpkg-architecture -qDEB_HOST_MULTIARCH)

# --- where things go ----------------------------------------------------------------------------------------------

PREFIX=/usr
SYSCONFDIR=/etc
DESTDIR=$work/root
BUILT=$work/built
case $format in
deb)
    name=libpam-onelogin
    SECURITYDIR=/usr/lib/$multiarch/security
    ;;
rpm)
    name=pam_onelogin
    SECURITYDIR=/usr/lib64/security
    ;;
*)
    echo "build.sh: deb or rpm, not $format" >&2
    exit 2
    ;;
esac
DOCDIR=/usr/share/doc/$name
export PREFIX SYSCONFDIR DESTDIR BUILT SECURITYDIR DOCDIR MODULE

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

packaging/sbom.sh > "$BUILT/sbom.cdx.json"

packaging/install.sh install "$format" > /dev/null

# The crates in the module, with their licences.
crates=$("${CARGO:-cargo}" tree --locked -e normal,no-proc-macro -p pam_onelogin --no-default-features --prefix none -f ' {p}: {l}')
{
    printf 'Comment:\n The crates in this build, with their licences:\n'
    printf '%s\n' "$crates" | sed -e 's/ (\*)$//' -e '/^ pam_onelogin /d' | LC_ALL=C sort -u
} >> "$DESTDIR$DOCDIR/copyright"

# --- what the module needs ----------------------------------------------------------------------------------------

case $format in
deb)
    # With DEBIAN/ in it, the folder is a package to dpkg-shlibdeps.
    mkdir "$work/debian" "$DESTDIR/DEBIAN"
    printf 'Source: %s\n\nPackage: %s\nArchitecture: any\n' "$name" "$name" > "$work/debian/control"
    needs=$(cd "$work" && dpkg-shlibdeps -O "root$SECURITYDIR/pam_onelogin.so" | sed -n 's/^shlibs:Depends=//p')
    needs="$needs, libpam-runtime (>= 1.1.3-2~)"
    ;;
rpm)
    # By rpm itself, which writes "libc.so.6(GLIBC_2.34)(64bit)".
    needs=$(echo "$DESTDIR$SECURITYDIR/pam_onelogin.so" | /usr/lib/rpm/elfdeps --requires | sort -u | paste -s -d,)
    needs="$needs,pam"
    ;;
esac

# --- the description ----------------------------------------------------------------------------------------------

script() {
    awk -v stacks=packaging/stacks.sh '
        $0 == "#STACKS#" { while ((getline line < stacks) > 0) print line; next }
        { print }
    ' "packaging/$format/$1" > "$work/$1"
    echo "  $2: $work/$1"
}

{
    sed -e "s|@NAME@|$name|; s|@ARCH@|$arch|; s|@VERSION@|$version|" \
        -e "s|@DATE@|$(date -u -d "@$epoch" +%Y-%m-%dT%H:%M:%SZ)|; s|@MAINTAINER@|$MAINTAINER|" \
        -e "s|@BUILT@|$BUILT|; /^# /{s/^# only $format: //;t;d;}" packaging/nfpm.yaml
    echo 'depends:'
    printf '%s\n' "$needs" | tr ',' '\n' | sed -e 's/^ *//' -e 's/.*/  - "&"/'
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
    echo 'contents:'
    packaging/install.sh list "$format" | while read -r _ kind mode _ destination; do
        source=$DESTDIR$destination
        attributes="mode: 0$mode, owner: root, group: root, mtime: $(date -u -d "@$epoch" +%Y-%m-%dT%H:%M:%SZ)"
        type=
        case $format:$kind in
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
} > "$work/nfpm.yaml"

SOURCE_DATE_EPOCH=$epoch "$NFPM" package --packager "$format" --config "$work/nfpm.yaml" --target "$out" > "$work/said" || {
    cat "$work/said" >&2
    exit 1
}
