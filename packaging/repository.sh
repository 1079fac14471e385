#!/bin/sh
# A signed repository for apt and one for dnf: folders that any web server can serve. A version that is already there stays as it is:
# other bytes of the same version are refused, and so is a lower version.
#
#   packaging/repository.sh PACKAGES OUT KEY [KEY]    as "make repository" calls it
#
# PACKAGES is the folder with the .deb and .rpm files. KEY is the fingerprint of a GPG key whose secret part is at hand, or a file with
# it. With two keys, both sign what clients check: while a key is replaced, clients that know either accept the repository. The first
# one signs the .rpm files.
#
#   OUT/apt                 for apt: dists, pool
#   OUT/rpm                 for dnf: the packages, repodata
#   OUT/pam-onelogin.asc    the public keys
#   OUT/.state              what the next run needs; not for the web server
set -eu
umask 022

fail() {
    echo "repository.sh: $*" >&2
    exit 1
}

[ $# -ge 2 ] || fail 'which packages, and where to?'
packages=$(cd "$1" && pwd)
mkdir -p "$2"
out=$(cd "$2" && pwd)
shift 2
[ -n "${1-}" ] || fail 'which key signs? Please type: make repository KEY=FINGERPRINT, or KEY=/path/to/secret.asc'

work=$(mktemp -d)
trap '[ -z "${ring-}" ] || gpgconf --kill all; rm -rf "$work"' EXIT

# --- keys ---------------------------------------------------------------------------------------------------------

# A file with a key is read into a key ring that is gone afterwards; else the user's own key ring has it.
fingerprints=
for key; do
    if [ -f "$key" ]; then
        if [ -z "${ring-}" ]; then
            ring=$work/ring
            mkdir -m 700 "$ring"
            export GNUPGHOME="$ring"
        fi
        gpg --batch --quiet --import "$key" || fail "$key is no GPG key"
        key=$(gpg --batch --with-colons --show-keys "$key" | awk -F: '/^fpr/ { print $10; exit }')
    fi
    gpg --batch --quiet --list-secret-keys "$key" > "$work/said" 2>&1 ||
        fail "there is no secret key $key: $(cat "$work/said")"
    fingerprint=$(gpg --batch --with-colons --list-secret-keys "$key" | awk -F: '/^fpr/ { print $10; exit }')
    fingerprints="$fingerprints $fingerprint"
done
first=${fingerprints# }
first=${first%% *}

# --- what there is ------------------------------------------------------------------------------------------------

debs=$(find "$packages" -maxdepth 1 -name '*.deb' | LC_ALL=C sort)
rpms=$(find "$packages" -maxdepth 1 -name '*.rpm' | LC_ALL=C sort)
[ -n "$debs$rpms" ] || fail "there are no packages in $packages"

# A package that was published once, NAME_VERSION_ARCHITECTURE and its checksum, a line.
published=$out/.state/published
mkdir -p "$out/.state" "$out/apt" "$out/rpm"
touch "$published"
new_debs=
new_rpms=
for file in $debs $rpms; do
    case $file in
    *.deb) name=$(dpkg-deb --showformat '${Package} ${Architecture} ${Version}' --show "$file") ;;
    *) name=$(rpm -qp --qf '%{NAME} %{ARCH} %{VERSION}' "$file" 2>/dev/null) ;;
    esac
    sum=$(sha256sum < "$file")
    sum=${sum%% *}
    version=${name##* }
    # It was published before, as it is.
    ! grep -qxF "$name $sum" "$published" || continue
    while read -r old_name old_arch old_version old_sum; do
        [ "$old_name $old_arch" = "${name% *}" ] || continue
        if [ "$old_version" = "$version" ] && [ "$old_sum" != "$sum" ]; then
            fail "$file: version $version is published with other bytes; give the new package a new version"
        fi
        if dpkg --compare-versions "$version" lt "$old_version"; then
            fail "$file: version $old_version is published, which is newer; a repository does not go back"
        fi
    done < "$published"
    echo "$name $sum" >> "$work/new"
    case $file in
    *.deb) new_debs="$new_debs $file" ;;
    *) new_rpms="$new_rpms $file" ;;
    esac
done

# --- apt ----------------------------------------------------------------------------------------------------------

mkdir -p "$out/.state/conf"
cat > "$out/.state/conf/distributions" <<END
Origin: pam_onelogin
Label: pam_onelogin
Suite: stable
Codename: stable
Architectures: amd64 arm64
Components: main
Description: pam_onelogin, a PAM module for OneLogin
SignWith:$(printf ' %s' $fingerprints)
END
if [ -n "$new_debs" ]; then
    # shellcheck disable=SC2086 # words
    reprepro --silent --basedir "$out/.state" --outdir "$out/apt" includedeb stable $new_debs
fi
reprepro --silent --basedir "$out/.state" --outdir "$out/apt" export stable

# --- dnf ----------------------------------------------------------------------------------------------------------

# A package that another key has signed is signed again: hosts that know the first key alone can install it.
sign() {
    rpmsign --define "__gpg $(command -v gpg)" --define "_gpg_name $first" --addsign "$1" > "$work/said" 2>&1 ||
        fail "$1 cannot be signed: $(cat "$work/said")"
}
if [ "$(cat "$out/.state/rpm-key" 2>/dev/null)" != "$first" ]; then
    for file in "$out"/rpm/*.rpm; do
        [ ! -e "$file" ] || sign "$file"
    done
fi
for file in $new_rpms; do
    cp "$file" "$work/signed.rpm"
    sign "$work/signed.rpm"
    mv "$work/signed.rpm" "$out/rpm/${file##*/}"
done
echo "$first" > "$out/.state/rpm-key"
createrepo_c --quiet --update "$out/rpm"
# shellcheck disable=SC2046 # words
gpg --batch --quiet --yes --armor --detach-sign $(printf ' --local-user %s' $fingerprints) --output "$work/repomd.xml.asc" \
    "$out/rpm/repodata/repomd.xml"
mv "$work/repomd.xml.asc" "$out/rpm/repodata/repomd.xml.asc"

# --- the keys that clients get, and what the next run needs -------------------------------------------------------

# shellcheck disable=SC2086
gpg --batch --quiet --armor --export $fingerprints > "$out/pam-onelogin.asc"
touch "$work/new"
cat "$published" "$work/new" | LC_ALL=C sort -u > "$work/published"
cat "$work/published" > "$published"
echo "$out:"
(cd "$out" && find apt/dists rpm/repodata pam-onelogin.asc -type f | LC_ALL=C sort | sed 's/^/  /')
