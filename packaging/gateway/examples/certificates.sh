#!/bin/sh
# An example: the certificates of gateways and hosts, made by openssl. Use it in a folder of its own, on a machine that is neither
# a gateway nor a host.
#
#   certificates.sh cas                 make the CA of gateways and the CA of hosts, once
#   certificates.sh gateways NAME…      issue or renew certificates of gateways
#   certificates.sh hosts NAME…         issue or renew certificates of hosts
#   certificates.sh hosts --from FILE   the same for the names in a file, one name per line
#   certificates.sh revoke NAME…        print the serial numbers of these hosts, for the list of revoked certificates
#
# NAME is the full name of a host, or the name of the gateway in the URL that the hosts have. gateways/NAME.pem and hosts/NAME.pem
# contain the certificate and its key. To renew a certificate, issue it again: the new file has a new key.
set -eu
umask 077

ca_days=3650
gateway_days=90
host_days=60

fail() {
    echo "certificates.sh: $*" >&2
    exit 1
}

# request NAME KEY: makes a key, and prints a request for a certificate.
request() {
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" -keyout "$2" 2>/dev/null ||
        fail "$1: openssl made no key"
}

make_ca() {
    [ ! -e "$1-ca.key" ] || fail "$1-ca.key exists; remove it only if no certificate of this CA is in use"
    printf '%s\n' basicConstraints=critical,CA:TRUE,pathlen:0 keyUsage=critical,keyCertSign > extensions
    request "OneLogin $1 CA" "$1-ca.key" > request
    openssl x509 -req -in request -signkey "$1-ca.key" -days "$ca_days" -extfile extensions -out "$1-ca.pem" 2>/dev/null ||
        fail "$1-ca.pem: openssl made no certificate"
}

# issue CA NAME DAYS USAGE: the certificate and its key in CA/NAME.pem, and a line in the file "issued".
issue() {
    # HAProxy 2.6 reads the common name only. Other programs read the subjectAltName.
    printf '%s\n' basicConstraints=critical,CA:FALSE keyUsage=critical,digitalSignature \
        "extendedKeyUsage=$4" "subjectAltName=DNS:$2" > extensions
    request "$2" key > request
    openssl x509 -req -in request -CA "$1-ca.pem" -CAkey "$1-ca.key" -set_serial "0x$(openssl rand -hex 16)" \
        -days "$3" -extfile extensions -out certificate 2>/dev/null || fail "$2: $1-ca.key does not sign; type: $0 cas"
    serial=$(openssl x509 -in certificate -noout -serial | cut -d= -f2)
    end=$(date -u -d "$(openssl x509 -in certificate -noout -enddate | cut -d= -f2)" +%Y-%m-%d)
    # First the line: each certificate that exists can be revoked.
    echo "$1 $2 $serial $end" >> issued
    cat certificate key > new.pem
    mkdir -p "$1"
    mv new.pem "$1/$2.pem"
    echo "$1/$2.pem is valid until $end, serial number $serial"
}

issue_all() {
    ca=$1 days=$2 usage=$3
    shift 3
    [ $# -gt 0 ] || fail "give at least one name"
    # No certificate is issued if a name is wrong.
    for name in "$@"; do
        case $name in
        '' | *[!A-Za-z0-9._-]* | .* | -*) fail "\"$name\" is not a host name" ;;
        esac
        [ ${#name} -le 64 ] || fail "$name: a common name has at most 64 characters"
    done
    for name in "$@"; do
        issue "$ca" "$name" "$days" "$usage"
    done
    rm -f key request certificate extensions
}

# Every certificate of the host that has not ended, also those before the last renewal.
revoke() {
    [ $# -gt 0 ] || fail "give at least one name"
    today=$(date -u +%Y-%m-%d)
    for name in "$@"; do
        awk -v name="$name" -v today="$today" \
            '$1 == "hosts" && $2 == name && $4 >= today { print $3; found = 1 } END { exit !found }' issued ||
            fail "$name has no valid certificate in the file \"issued\""
    done
}

command=${1-}
[ $# -eq 0 ] || shift
case $command in
cas)
    make_ca gateways
    make_ca hosts
    rm -f request extensions
    ;;
# A gateway is a client of the other gateways.
gateways) issue_all gateways "$gateway_days" serverAuth,clientAuth "$@" ;;
hosts)
    if [ "${1-}" = --from ]; then
        names=$(cat -- "${2-}") || fail "give a file after --from"
        # The names are words: each one is checked before its use.
        set -f
        set -- $names
    fi
    issue_all hosts "$host_days" clientAuth "$@"
    ;;
revoke) revoke "$@" ;;
*)
    sed -n '2,/^set/s/^# \{0,1\}//p' "$0"
    exit 2
    ;;
esac
