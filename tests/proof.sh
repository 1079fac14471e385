#!/bin/sh
# The results of "make proof": prints them with the date, and writes them into docs/proof.md.
#
#   tests/proof.sh mutants                  from what cargo-mutants wrote to target/mutants
#   tests/proof.sh fuzz SECONDS TARGET…     after fuzzing in which no rule was broken
#
# A mutant that survives needs its reason in tests/survivors.txt. One without a reason is a test that is missing: exit code 1.
set -eu
cd "$(dirname "$0")/.."

document=docs/proof.md
reasons=tests/survivors.txt
out=target/mutants/mutants.out
date=$(date +%F)

# Replaces what stands between two marks of the document by the text of standard input.
put() {
    NEW=$(cat) awk -v begin="<!-- $1: make proof writes it. -->" -v end="<!-- The end of $1. -->" '
        $0 == end { inside = 0 }
        !inside { print }
        $0 == begin { inside = 1; print ""; print ENVIRON["NEW"]; print "" }
    ' "$document" > target/proof.md
    cat target/proof.md > "$document"
}

count() {
    wc -l < "$out/$1.txt" | tr -d ' '
}

# "mutant, tab, reason" of each survivor. Each reason serves for one mutant: two may have the same name.
survivors() {
    sed -E 's/^([^:]*):[0-9]+:[0-9]+: /\1: /' "$out/missed.txt" | awk '
        FILENAME != "-" && /^#/ { next }
        FILENAME != "-" && /^[^ ]/ { name = $0; known[name]++; place[name, known[name]] = ++rows; next }
        FILENAME != "-" && NF { sub(/^ +/, ""); reason[rows] = reason[rows] (reason[rows] ? " " : "") $0 }
        FILENAME == "-" { used[$0]++; print $0 "\t" reason[place[$0, used[$0]]] }
        END {
            for (name in known) for (i = used[name] + 1; i <= known[name]; i++)
                print "It does not survive any more; please take it out of the list: " name > "/dev/stderr"
        }
    ' "$reasons" -
}

case ${1-} in
mutants)
    caught=$(count caught) unviable=$(count unviable) timeouts=$(count timeout) missed=$(count missed)
    all=$((caught + unviable + timeouts + missed))
    rows=$(survivors)
    {
        echo "On $date, $(cargo mutants --version) changed the code that decides in $all places, one at a time:"
        echo
        echo '| mutants | caught | do not compile | do not end | survived |'
        echo '|--:|--:|--:|--:|--:|'
        echo "| $all | $caught | $unviable | $timeouts | $missed |"
        echo
        if [ "$missed" = 0 ]; then
            echo 'None survived.'
        else
            echo 'Those that survived, and why no test can notice them:'
            echo
            echo '| mutant | reason |'
            echo '|---|---|'
            printf '%s\n' "$rows" | awk -F '\t' '{
                gsub(/\|/, "\\|"); print "| `" $1 "` | " ($2 ? $2 : "**None: a test is missing.**") " |"
            }'
        fi
    } | put mutants
    echo "$date: $all mutants, $caught caught, $unviable that do not compile, $timeouts that do not end, $missed survivors"
    missing=$(printf '%s\n' "$rows" | awk -F '\t' '$1 && !$2 { print "  " $1 }')
    [ -z "$missing" ] || {
        printf 'No test notices these. Write one, or say in %s why none can:\n%s\n' "$reasons" "$missing" >&2
        exit 1
    }
    ;;
fuzz)
    seconds=$2
    shift 2
    result="$seconds seconds of fuzzing for each of $# targets ($*) broke no rule."
    echo "On $date, $result" | put fuzzing
    echo "$date: $result"
    ;;
*)
    echo 'proof.sh: mutants or fuzz' >&2
    exit 2
    ;;
esac
