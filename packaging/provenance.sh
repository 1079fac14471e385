#!/bin/sh
# What the files of a release were built from, as an in-toto statement with SLSA provenance (version 1), on the standard output: the
# checksum of each file in the folder, the commit, the compiler, and the checksums of the lists that fix what was downloaded. The same
# source and compiler give the same bytes: no time, no number by chance.
#
#   packaging/provenance.sh FOLDER
#
# Takes from the environment: COMMIT (that of this folder if it is not there), RUSTC, SOURCE_DATE_EPOCH.
set -eu
folder=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."

commit=${COMMIT:-$(git rev-parse HEAD)}
repository=$(sed -n 's/^repository = "\([^"]*\)".*/\1/p' Cargo.toml)
sum() {
    sha256sum < "$1" | cut -d ' ' -f 1
}
compiler=$("${RUSTC:-rustc}" -vV | sed -n 's/^\(release\|commit-hash\|host\): \(.*\)/"\1": "\2"/p' | paste -s -d,)

printf '{"_type": "https://in-toto.io/Statement/v1",\n "subject": ['
between=
for file in "$folder"/*; do
    printf '%s\n  {"name": "%s", "digest": {"sha256": "%s"}}' "$between" "${file##*/}" "$(sum "$file")"
    between=,
done
printf '],\n "predicateType": "https://slsa.dev/provenance/v1",\n "predicate": {\n  "buildDefinition": {\n'
printf '   "buildType": "%s/blob/main/RELEASING.md",\n' "$repository"
printf '   "externalParameters": {"source": "git+%s", "commit": "%s", "command": "make release"},\n' "$repository" "$commit"
printf '   "internalParameters": {"rustc": {%s}, "SOURCE_DATE_EPOCH": "%s"},\n' "$compiler" "${SOURCE_DATE_EPOCH:-}"
printf '   "resolvedDependencies": [\n    {"uri": "git+%s", "digest": {"gitCommit": "%s"}}' "$repository" "$commit"
for file in Cargo.lock packaging/requirements.txt; do
    printf ',\n    {"name": "%s", "digest": {"sha256": "%s"}}' "$file" "$(sum "$file")"
done
printf ']},\n  "runDetails": {"builder": {"id": "%s/blob/main/packaging/release.sh"}}}}\n' "$repository"
