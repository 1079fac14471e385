#!/bin/sh
# All artefacts of a release, built twice, in this folder and in another, and compared: packages, debug information, source, bills
# of materials, provenance, checksums. Or the comparison alone.
#
#   packaging/release.sh OUT        as "make release" calls it
#   packaging/release.sh --compare  as "make test-reproducible" does
#
# Takes from the environment: MAKE, ALLOW_PLACEHOLDERS. Needs a clean work tree: what is built is the last commit. A release is
# refused while Cargo.toml has a placeholder, unless ALLOW_PLACEHOLDERS is "yes", for a rehearsal.
set -eu
umask 022
cd "$(dirname "$0")/.."
make=${MAKE:-make}

if [ "$1" != --compare ] && [ "${ALLOW_PLACEHOLDERS-}" != yes ]; then
    placeholders=$(packaging/placeholders.sh)
    if [ -n "$placeholders" ]; then
        printf '%s\n' "$placeholders" >&2
        echo 'release.sh: these placeholders are still there. Replace each one in all of its places. For a rehearsal: make release ALLOW_PLACEHOLDERS=yes' >&2
        exit 1
    fi
fi
if [ -n "$(git status --porcelain --untracked-files=no)" ]; then
    echo 'release.sh: the work tree has changes that are not committed; a release is a commit.' >&2
    exit 1
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The source as it is packed and as it is built a second time: in a folder of another name and length.
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"$/\1/p' Cargo.toml)
name=pam_onelogin-$version
tags=$(git tag --points-at HEAD 'v*')
if [ "$1" != --compare ] && [ -n "$tags" ] && ! printf '%s\n' "$tags" | grep -qxF "v$version"; then
    echo "release.sh: this commit has the tag $tags, and Cargo.toml has version $version: the tag must be v$version." >&2
    exit 1
fi
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
git archive --format=tar --prefix="$name/" HEAD > "$work/source.tar"
tar -C "$work" -xf "$work/source.tar"

$make --silent packages
echo "Once more, in $work."
$make --silent -C "$work/$name" packages LINKER="$PWD/target/packager/bin"
for first in target/packages/*"$version"*.deb target/packages/*"$version"*.rpm; do
    cmp "$first" "$work/$name/$first"
done
echo 'The same bytes in both folders.'
[ "$1" != --compare ] || exit 0

mkdir -p "$1"
rm -f "$1"/*
cp target/packages/*"$version"*.deb target/packages/*"$version"*.rpm "$1"
# What "make packages-arm" made, if it did.
for package in target/packages-arm64/*"$version"*; do
    [ ! -e "$package" ] || cp "$package" "$1"
done
xz -9 --stdout "$work/source.tar" > "$1/$name.tar.xz"
packaging/sbom.sh module > "$1/$name.cdx.json"
packaging/sbom.sh tool > "$1/$name-tool.cdx.json"
packaging/provenance.sh "$1" > "$work/$name.intoto.json"
mv "$work/$name.intoto.json" "$1"
(cd "$1" && sha256sum -- * > "$work/SHA256SUMS" && mv "$work/SHA256SUMS" .)
ls "$1"
