#!/bin/sh
# The bill of materials of the module or the tool, in the form of CycloneDX 1.5, on the standard output: the crates that its code
# comes from, with versions, licences, checksums and who asks for whom. The same source gives the same bytes: no time, no number
# by chance.
#
#   packaging/sbom.sh module|tool
set -eu
cd "$(dirname "$0")/.."

case $1 in
module) package=pam_onelogin ;;
tool) package=pam-onelogin ;;
*)
    echo "sbom.sh: module or tool, not $1" >&2
    exit 2
    ;;
esac

"${CARGO:-cargo}" tree --locked -e normal,no-proc-macro -p "$package" --prefix depth --no-dedupe -f '|{p}|{l}' |
LC_ALL=C awk -F'|' '
    # Cargo.lock: the checksum of each crate.
    FILENAME == "Cargo.lock" {
        if ($0 ~ /^name = /) { split($0, part, "\""); name = part[2] }
        if ($0 ~ /^version = /) { split($0, part, "\""); version = part[2] }
        if ($0 ~ /^checksum = /) { split($0, part, "\""); sum[name "@" version] = part[2] }
        next
    }
    # The tree: depth, "name vVERSION (…)", licence.
    {
        split($2, word, " ")
        id = word[1] "@" substr(word[2], 2)
        above[$1] = id
        if (!(id in licence)) ids[++count] = id
        licence[id] = $3
        gsub("/", " OR ", licence[id])
        if ($1 > 0 && !((above[$1 - 1], id) in seen)) {
            seen[above[$1 - 1], id] = 1
            asks[above[$1 - 1]] = asks[above[$1 - 1]] " " id
        }
    }
    # Sorts list[1..n] in place.
    function sort(list, n,    i, j, t) {
        for (i = 2; i <= n; i++) for (j = i; j > 1 && list[j] < list[j - 1]; j--) { t = list[j]; list[j] = list[j - 1]; list[j - 1] = t }
    }
    function ref(id) { split(id, half, "@"); return "pkg:cargo/" half[1] "@" half[2] }
    function component(id, type, indent,    text) {
        split(id, half, "@")
        text = "{\"type\": \"" type "\", \"bom-ref\": \"" ref(id) "\", \"name\": \"" half[1] "\", \"version\": \"" half[2] "\""
        text = text ", \"purl\": \"" ref(id) "\", \"licenses\": [{\"expression\": \"" licence[id] "\"}]"
        if (id in sum) text = text ", \"hashes\": [{\"alg\": \"SHA-256\", \"content\": \"" sum[id] "\"}]"
        return indent text "}"
    }
    END {
        if (count < 2) { print "sbom.sh: cargo tree says nothing" > "/dev/stderr"; exit 1 }
        root = ids[1]
        print "{\n  \"bomFormat\": \"CycloneDX\",\n  \"specVersion\": \"1.5\",\n  \"version\": 1,"
        print "  \"metadata\": {\"component\":\n" component(root, "library", "    ") "\n  },"
        sort(ids, count)
        print "  \"components\": ["
        for (i = 1; i <= count; i++) if (ids[i] != root) line[++lines] = component(ids[i], "library", "    ")
        for (i = 1; i <= lines; i++) print line[i] (i < lines ? "," : "")
        print "  ],\n  \"dependencies\": ["
        for (i = 1; i <= count; i++) {
            n = split(asks[ids[i]], list, " ")
            sort(list, n)
            text = ""
            for (j = 1; j <= n; j++) text = text (j > 1 ? ", " : "") "\"" ref(list[j]) "\""
            print "    {\"ref\": \"" ref(ids[i]) "\", \"dependsOn\": [" text "]}" (i < count ? "," : "")
        }
        print "  ]\n}"
    }
' Cargo.lock -
