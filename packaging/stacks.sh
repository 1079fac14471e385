# Lines of stacks that name the module, without files that match the pattern $1. What editors and package managers leave
# behind is no stack.
stacks_with_the_module() {
    for stack in /etc/pam.conf /etc/pam.d/* /usr/lib/pam.d/* /etc/authselect/*; do
        case $stack in
        $1 | *.dpkg-* | *.ucf-* | *.pam-old | *.rpmnew | *.rpmsave | *.rpmorig | *~) continue ;;
        esac
        [ ! -f "$stack" ] || sed -n -e '/^[[:space:]]*#/d' -e "/pam_onelogin/{=;p;}" "$stack" |
            while read -r number && IFS= read -r line; do
                printf '  %s:%s: %s\n' "$stack" "$number" "$line"
            done
    done
}

# Fails where a stack names the module, unless the admin has said that it shall go all the same. $1 as above.
refuse_while_in_use() {
    used=$(stacks_with_the_module "$1")
    if [ -z "$used" ]; then
        return 0
    fi
    if [ "${PAM_ONELOGIN_REMOVE_ANYWAY-}" = yes ]; then
        printf '%s\n\n%s\n' 'pam_onelogin: removed by PAM_ONELOGIN_REMOVE_ANYWAY=yes, although these lines name it:' "$used" >&2
        return 0
    fi
    made=$(put_back_by)
    cat >&2 <<END
pam_onelogin: not removed, because these lines name it. Without the module most of them deny every login; those
that say "optional" or "sufficient" go on without a second factor.

$used
${made:+
These commands take out what "pam-onelogin enable" has written:

$made
}
Take the lines out, try a login from a second window while a root shell is open, then remove the package.
To remove it all the same, set PAM_ONELOGIN_REMOVE_ANYWAY=yes in the environment.
END
    return 1
}

# What to type for each service that "pam-onelogin enable" has a record of.
put_back_by() {
    for record in "$RECORDS"/trial/*.json "$RECORDS"/enabled/*.json; do
        [ ! -e "$record" ] || printf '  pam-onelogin disable %s\n' "$(basename "$record" .json)"
    done
}

# Puts back what these records are of.
put_back() {
    for record in "$@"; do
        [ ! -e "$record" ] || pam-onelogin disable "$(basename "$record" .json)" >&2 || :
    done
}

# Where the tool keeps them.
RECORDS=/var/lib/pam_onelogin
