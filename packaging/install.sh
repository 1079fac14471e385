#!/bin/sh
# Installs what packaging/files lists, or takes it away again.
#
#   packaging/install.sh install|uninstall|list all|deb|rpm|deb-debug|rpm-debug|deb-gateway|rpm-gateway|gateway
#
# Takes from the environment: DESTDIR, MODULE, TOOL, BUILT, SECURITYDIR, SYSCONFDIR, PREFIX, DOCDIR;
# MODULE_ID and TOOL_ID for the last two.
set -eu
umask 022
cd "$(dirname "$0")/.."

task=$1
who=$2

# A stack that names a module which is gone lets nobody in.
if [ "$task" = uninstall ] && [ -z "${DESTDIR-}" ]; then
    . packaging/stacks.sh
    refuse_while_in_use '' || exit 1
    # While systemd still has the unit.
    if [ -d /run/systemd/system ]; then
        systemctl --quiet disable --now run-pam_onelogin.mount || :
    fi
fi

sed -e '/^#/d' -e '/^$/d' \
    -e "s|@MODULE@|${MODULE-}|; s|@MODULE_ID@|${MODULE_ID-}|; s|@TOOL@|${TOOL-}|; s|@TOOL_ID@|${TOOL_ID-}|; s|@BUILT@|${BUILT-}|; s|@SECURITYDIR@|$SECURITYDIR|" \
    -e "s|@SYSCONFDIR@|$SYSCONFDIR|; s|@PREFIX@|$PREFIX|; s|@DOCDIR@|$DOCDIR|" packaging/files |
while read -r for kind mode source destination; do
    case $who:$for in
    "$who:$who" | *-debug:debug | *-gateway:gateway) ;;
    *-debug:* | *-gateway:* | gateway:*) continue ;;
    *:all) ;;
    *) continue ;;
    esac
    target=${DESTDIR-}$destination
    case $task:$kind in
    install:dir)
        install -d -m "$mode" "$target"
        ;;
    install:config)
        # The admin's. A new version leaves it as it is.
        if [ -e "$target" ]; then
            echo "left as it is: $target"
        else
            install -m "$mode" "$source" "$target"
        fi
        ;;
    install:link)
        mkdir -p "$(dirname "$target")"
        ln -sfn "$source" "$target"
        ;;
    install:*)
        # Not cp: it would write into a file that running programs have mapped.
        install -D -m "$mode" "$source" "$target"
        ;;
    uninstall:dir | uninstall:config)
        [ ! -e "$target" ] || echo "left as it is: $target"
        ;;
    uninstall:*)
        rm -f "$target"
        ;;
    list:*)
        echo "$for $kind $mode $source $destination"
        ;;
    *)
        echo "install.sh: install, uninstall or list, not $task" >&2
        exit 2
        ;;
    esac
done

if [ "$task" = uninstall ] && [ -d "${DESTDIR-}$DOCDIR" ]; then
    find "${DESTDIR-}$DOCDIR" -depth -type d -empty -delete
fi
