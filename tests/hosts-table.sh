#!/bin/sh
# The table of docs/hosts.md or of docs/services.md: which program was tried how, in which version, on which release. From what
# the last "make test-root" or "make test-services" wrote to target/hosts/tried or target/services/tried.
#
#   tests/hosts-table.sh show hosts        prints it
#   tests/hosts-table.sh write hosts       puts it into docs/hosts.md
#   tests/hosts-table.sh write forky       the same for what "make test-forky" wrote
#   tests/hosts-table.sh check services    fails where docs/services.md says something else, if the releases are those of the page
set -eu
cd "$(dirname "$0")/.."

which=${2-}
case $which in
hosts) run=test-root order='sshd sudo sudo-rs su login' ;;
forky) run=test-forky order='sshd sudo sudo-rs su login' ;;
services) run=test-services order='vsftpd proftpd dovecot squid cups xrdp-sesman openvpn ocserv cockpit doas gvfs pam_duo' ;;
*)
    echo "hosts-table.sh: show, write or check; hosts, forky or services" >&2
    exit 2
    ;;
esac
document=docs/$which.md
[ "$which" != forky ] || document=docs/hosts.md
begin="<!-- The table of $which: make $which-table writes it. -->"
end="<!-- The end of the table of $which. -->"
tried=target/$which/tried

# Files of the form "host, tab, what, tab, version", named by their release, make columns.
table() {
    (cd "$tried" && for release in *; do sed "s/^/$release	/" "$release"; done) | LC_ALL=C sort -u |
        awk -F '\t' -v order="$order" '
            BEGIN { count = split(order, hosts, " "); for (i = 1; i <= count; i++) place[hosts[i]] = i }
            !($1 in column) { column[$1] = ++columns; names[columns] = $1 }
            { row = (($2 in place) ? place[$2] : 99) "\t" $2 "\t" $3; version[row, column[$1]] = $4; rows[row] }
            END {
                line = "| host | what was tried |"; rule = "|---|---|"
                for (i = 1; i <= columns; i++) { line = line " " names[i] " |"; rule = rule "---|" }
                print line; print rule
                for (row in rows) {
                    split(row, part, "\t"); line = "| " part[2] " | " part[3] " |"
                    for (i = 1; i <= columns; i++) line = line " " (((row, i) in version) ? version[row, i] : "–") " |"
                    print part[1] "\t" line | "LC_ALL=C sort -t \"\t\" -k1,1n -k2 | cut -f 2-"
                }
            }'
}

in_document() {
    sed -n "/^$begin\$/,/^$end\$/p" "$document" | sed '1d;$d' | sed '/^$/d'
}

[ -n "$(ls "$tried" 2>/dev/null)" ] || {
    echo "hosts-table.sh: nothing was tried yet; type: sudo make $run" >&2
    exit 2
}

new=$(table)
case ${1-} in
show)
    printf '%s\n' "$new"
    ;;
write)
    NEW=$new awk -v begin="$begin" -v end="$end" '
        $0 == end { inside = 0 }
        !inside { print }
        $0 == begin { inside = 1; print ""; print ENVIRON["NEW"]; print "" }
    ' "$document" > "target/$which/document"
    cat "target/$which/document" > "$document"
    ;;
check)
    if [ "$(printf '%s\n' "$new" | head -n 1)" != "$(in_document | head -n 1)" ]; then
        echo "What was tried, on other releases than in the table of $document:"
        printf '%s\n' "$new"
    elif [ "$new" != "$(in_document)" ]; then
        echo "What was tried (right) is not what $document says (left). Is it meant? Then type: make $which-table" >&2
        in_document > "target/$which/said"
        printf '%s\n' "$new" | diff "target/$which/said" - >&2 || true
        exit 1
    fi
    ;;
*)
    echo "hosts-table.sh: show, write or check; hosts, forky or services" >&2
    exit 2
    ;;
esac
