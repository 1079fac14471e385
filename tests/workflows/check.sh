#!/bin/sh
# Checks the workflows below .github: zizmor looks for ways to attack them, actionlint for faults in their syntax and expressions.
#
#   tests/workflows/check.sh
#
# Takes from the environment: ACTIONLINT, a program to use instead of the one that this script downloads; or ACTIONLINT_RELEASES, the
# address of a mirror to download it from.
#
# Both are installed once, below target/workflows, in the versions and with the digests that this folder names; after that the
# check needs no network. A program that cannot be installed is SKIPPED.
set -eu
cd "$(dirname "$0")/../.."
folder=target/workflows
PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
export PIP_DISABLE_PIP_VERSION_CHECK PIP_NO_INPUT

skipped() {
    echo "SKIPPED: the check of the workflows by $1, as $2" >&2
}

# zizmor, in a virtual environment. The output of pip is not shown, because it can contain the address of a private package index.
install_zizmor() {
    wanted=tests/workflows/requirements.txt
    cmp -s "$wanted" "$folder/requirements.txt" && return
    rm -rf "$folder/python" "$folder/requirements.txt"
    mkdir -p "$folder"
    python3 -m venv "$folder/python" > /dev/null 2>&1 || {
        skipped zizmor 'python3 cannot make a virtual environment (Debian: python3-venv).'
        return 1
    }
    "$folder/python/bin/pip" install --quiet --require-hashes --only-binary :all: --requirement "$wanted" > /dev/null 2>&1 || {
        skipped zizmor 'pip cannot install it here (no package index, or no such package for this machine).'
        return 1
    }
    # Last: it says that the rest is complete.
    cp "$wanted" "$folder/requirements.txt"
}

# actionlint, from its own releases. The digests are those that the release publishes.
install_actionlint() {
    version=1.7.12
    case $(uname -m) in
    x86_64) arch=amd64 digest=8aca8db96f1b94770f1b0d72b6dddcb1ebb8123cb3712530b08cc387b349a3d8 ;;
    aarch64) arch=arm64 digest=325e971b6ba9bfa504672e29be93c24981eeb1c07576d730e9f7c8805afff0c6 ;;
    *)
        skipped actionlint "it has no release for $(uname -m)."
        return 1
        ;;
    esac
    actionlint=$folder/actionlint-$version
    [ ! -x "$actionlint" ] || return 0
    mkdir -p "$folder"
    archive=actionlint_${version}_linux_$arch.tar.gz
    python3 - "${ACTIONLINT_RELEASES:-https://github.com/rhysd/actionlint/releases/download}/v$version/$archive" "$folder/$archive" 2> /dev/null <<'PYTHON' || {
import shutil, sys, urllib.request
with urllib.request.urlopen(sys.argv[1], timeout=10) as reply, open(sys.argv[2], "wb") as file:
    shutil.copyfileobj(reply, file)
PYTHON
        skipped actionlint 'its release cannot be downloaded here. To use a program of your own: ACTIONLINT=…'
        return 1
    }
    echo "$digest  $folder/$archive" | sha256sum --check --quiet || {
        echo "The download of actionlint does not have the digest in tests/workflows/check.sh: $folder/$archive" >&2
        exit 1
    }
    tar -C "$folder" -xzf "$folder/$archive" actionlint
    mv "$folder/actionlint" "$actionlint"
}

if ! command -v python3 > /dev/null; then
    skipped 'zizmor and actionlint' 'there is no python3.'
    exit
fi
status=0
if install_zizmor; then
    "$folder/python/bin/zizmor" --offline --no-progress --quiet --persona=pedantic .github || status=1
fi
if [ -n "${ACTIONLINT-}" ]; then
    actionlint=$ACTIONLINT
    found=yes
else
    found=
    ! install_actionlint || found=yes
fi
# Without the programs that it calls only where they are installed: the same result on each machine.
[ -z "$found" ] || "$actionlint" -shellcheck= -pyflakes= || status=1
exit $status
