#!/bin/sh
# The table of docs/hosts.md: which host was tried how, in which version, on which release. From what the last "make test-root"
# wrote to target/hosts/tried.
#
#   tests/hosts-table.sh show     prints it
#   tests/hosts-table.sh write    puts it into docs/hosts.md
#   tests/hosts-table.sh check    fails where docs/hosts.md says something else, if the releases are those of docs/hosts.md
set -eu
cd "$(dirname "$0")/.."

begin='<!-- The table of hosts: make hosts-table writes it. -->'
end='<!-- The end of the table of hosts. -->'
tried=target/hosts/tried

# Files of the form "host, tab, what, tab, version", named by their release, make columns.
table() {
    (cd "$tried" && for release in *; do sed "s/^/$release	/" "$release"; done) | LC_ALL=C sort -u |
        awk -F '\t' '
            BEGIN { count = split("sshd sudo sudo-rs su login", hosts, " "); for (i = 1; i <= count; i++) place[hosts[i]] = i }
            !($1 in column) { column[$1] = ++columns; names[columns] = $1 }
            { row = (($2 in place) ? place[$2] : 99) "\t" $2 "\t" $3; version[row, column[$1]] = $4; rows[row] }
            END {
                line = "| host | what was tried |"; rule = "|---|---|"
                for (i = 1; i <= columns; i++) { line = line " " names[i] " |"; rule = rule "---|" }
                print line; print rule
                for (row in rows) {
                    split(row, part, "\t"); line = "| " part[2] " | " part[3] " |"
                    for (i = 1; i <= columns; i++) line = line " " (((row, i) in version) ? version[row, i] : "–") " |"
                    print part[1] "\t" line | "sort -t \"\t\" -k1,1n -k2 | cut -f 2-"
                }
            }'
}

in_readme() {
    sed -n "/^$begin\$/,/^$end\$/p" docs/hosts.md | sed '1d;$d' | sed '/^$/d'
}

[ -n "$(ls "$tried" 2>/dev/null)" ] || {
    echo "hosts-table.sh: nothing was tried yet; type: sudo make test-root" >&2
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
    ' docs/hosts.md > target/hosts/docs/hosts.md
    cat target/hosts/docs/hosts.md > docs/hosts.md
    ;;
check)
    if [ "$(printf '%s\n' "$new" | head -n 1)" != "$(in_readme | head -n 1)" ]; then
        echo 'What was tried, on other releases than in the table of docs/hosts.md:'
        printf '%s\n' "$new"
    elif [ "$new" != "$(in_readme)" ]; then
        echo 'What was tried (right) is not what docs/hosts.md says (left). Is it meant? Then type: make hosts-table' >&2
        in_readme > target/hosts/readme
        printf '%s\n' "$new" | diff target/hosts/readme - >&2 || true
        exit 1
    fi
    ;;
*)
    echo "hosts-table.sh: show, write or check" >&2
    exit 2
    ;;
esac
