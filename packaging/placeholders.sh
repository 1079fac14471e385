#!/bin/sh
# Lists each placeholder of Cargo.toml, a name under `.invalid`, with every place that has it:
#
#   repository = "https://….invalid/…": Cargo.toml .github/ISSUE_TEMPLATE/config.yml
#
# Prints nothing when all of them are real. tests/packaging.rs checks that no place is forgotten.
set -eu
cd "$(dirname "$0")/.."

sed -n 's/^\([a-z-]* = \)\[*\("[^"]*\.invalid[^"]*"\).*/\1\2/p' Cargo.toml | while read -r line; do
    value=${line#*\"}
    value=${value%\"}
    places=
    for file in Cargo.toml SECURITY.md .github/ISSUE_TEMPLATE/config.yml; do
        ! grep -qsF "$value" "$file" || places="$places $file"
    done
    echo "$line:$places"
done
