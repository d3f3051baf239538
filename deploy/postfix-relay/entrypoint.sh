#!/bin/sh
# Makes Postfix' configuration from the environment and from mounted files, then becomes Postfix.
#
#   RELAY_HOSTNAME    the relay's full name, with which it greets; must be set
#   RELAY_HOST        the next server, [name]:port; unset: the MX of each recipient
#   RELAY_NETWORKS    networks that may send to anywhere, as CIDR, by spaces or commas
#   RELAY_TLS         TLS to the next server: secure (the default), verify or encrypt
#   RELAY_MAX_BYTES   the octets that a message may have
#
#   /run/secrets/sasl_passwd      the login at the next server: [name]:port user:…
#   /run/secrets/tls.crt tls.key  the relay's certificate, PEM; opens 587, which demands TLS
#   /run/secrets/users            who may log in at 587, one name:… a line
#
# Whatever is wrong ends it with code 64 and a line that says what.
set -eu

etc=/etc/postfix
secrets=/run/secrets

fail() {
    echo "entrypoint: $*" >&2
    exit 64
}

set_main() {
    postconf -e "$1 = $2"
}

# A copy that no one else can read, and its table.
table() {
    install -m 0600 "$1" "$2"
    postmap "hash:$2" || fail "$1 is no table"
}

hostname=${RELAY_HOSTNAME:-}
case $hostname in
'') fail "RELAY_HOSTNAME is not set: the full name of the relay" ;;
*[!A-Za-z0-9.-]* | .* | *. | *..* | -*) fail "RELAY_HOSTNAME=$hostname is no host name" ;;
*.*) set_main myhostname "$hostname" ;;
*) fail "RELAY_HOSTNAME=$hostname has no domain: others refuse to be greeted with a bare name" ;;
esac

networks='127.0.0.0/8, [::1]/128'
for network in $(echo "${RELAY_NETWORKS:-}" | tr ',' ' '); do
    # Whole networks only, and none that is a large part of the world.
    if echo "$network" | grep -Eq '^([0-9]{1,3}\.){3}[0-9]{1,3}/([89]|[12][0-9]|3[0-2])$'; then
        networks="$networks, $network"
    elif echo "$network" | grep -Eiq '^[0-9a-f:]*:[0-9a-f:]*/(3[2-9]|[4-9][0-9]|1[01][0-9]|12[0-8])$'; then
        networks="$networks, [${network%/*}]/${network#*/}"
    else
        fail "RELAY_NETWORKS: $network is no network of the form 10.1.0.0/16 or fd00::/48"
    fi
done
set_main mynetworks "$networks"

next=${RELAY_HOST:-}
if [ -n "$next" ]; then
    # Without brackets Postfix would look for an MX of that name.
    echo "$next" | grep -Eq '^\[[A-Za-z0-9.:-]+\](:[0-9]{1,5})?$' ||
        fail "RELAY_HOST=$next is not of the form [name]:port"
    set_main relayhost "$next"
fi

tls=${RELAY_TLS:-secure}
case $tls in
secure | verify | encrypt) set_main smtp_tls_security_level "$tls" ;;
*) fail "RELAY_TLS=$tls is none of secure, verify and encrypt" ;;
esac

if [ -n "${RELAY_MAX_BYTES:-}" ]; then
    case $RELAY_MAX_BYTES in
    *[!0-9]* | 0*) fail "RELAY_MAX_BYTES=$RELAY_MAX_BYTES is no number of octets" ;;
    *) set_main message_size_limit "$RELAY_MAX_BYTES" ;;
    esac
fi

if [ -s $secrets/sasl_passwd ]; then
    [ -n "$next" ] || fail "there is a login for the next server, and RELAY_HOST is not set"
    # Postfix looks it up by the very text of relayhost.
    awk -v next_hop="$next" '$1 == next_hop { found = 1 } END { exit !found }' $secrets/sasl_passwd ||
        fail "$secrets/sasl_passwd has no line that begins with $next"
    table $secrets/sasl_passwd $etc/sasl_passwd
    set_main smtp_sasl_auth_enable yes
    set_main smtp_sasl_password_maps "hash:$etc/sasl_passwd"
fi

if [ -s $secrets/tls.crt ]; then
    [ -s $secrets/tls.key ] || fail "there is $secrets/tls.crt, and no tls.key"
    (umask 077 && cat $secrets/tls.key $secrets/tls.crt >$etc/identity.pem)
    set_main smtpd_tls_chain_files $etc/identity.pem
    set_main smtpd_tls_security_level may
    set_main smtpd_tls_received_header yes
    # Before the service has an option, it must be there.
    postconf -Me '587/inet = 587 inet n - n - - smtpd'
    postconf -Pe '587/inet/smtpd_tls_security_level = encrypt'
    if [ -s $secrets/users ]; then
        install -d $etc/sasl
        rm -f $etc/sasl/users
        while IFS=: read -r user word; do
            if [ -z "$user" ] || [ -z "$word" ]; then
                fail "$secrets/users: a line is not of the form name:…"
            fi
            printf '%s' "$word" | saslpasswd2 -p -c -u "$hostname" -f $etc/sasl/users "$user"
        done <$secrets/users
        chgrp postfix $etc/sasl/users
        chmod 0640 $etc/sasl/users
        printf '%s\n' 'pwcheck_method: auxprop' 'auxprop_plugin: sasldb' \
            "sasldb_path: $etc/sasl/users" 'mech_list: PLAIN LOGIN' >$etc/sasl/smtpd.conf
        set_main smtpd_sasl_local_domain "$hostname"
        postconf -Pe '587/inet/smtpd_sasl_auth_enable = yes'
        postconf -Pe '587/inet/smtpd_relay_restrictions = permit_sasl_authenticated,reject'
    else
        postconf -Pe '587/inet/smtpd_relay_restrictions = permit_mynetworks,reject'
    fi
elif [ -s $secrets/users ]; then
    fail "there are users, and no $secrets/tls.crt: they would log in in clear"
fi

# What the daemons look up inside their chroot. Only resolv.conf changes while it runs.
queue=$(postconf -h queue_directory)
install -d "$queue/etc"
fresh() {
    cmp -s "/etc/$1" "$queue/etc/$1" && return
    cp "/etc/$1" "$queue/etc/$1.new" && chmod 0644 "$queue/etc/$1.new" &&
        mv -f "$queue/etc/$1.new" "$queue/etc/$1"
}
for name in resolv.conf hosts services nsswitch.conf; do
    [ ! -e "/etc/$name" ] || fresh "$name"
done
while sleep 30; do
    fresh resolv.conf || echo "entrypoint: $queue/etc/resolv.conf could not be written" >&2
done &

# A socket of an earlier run, at which Postfix would wait; and daemons wait until main.cf is two seconds old.
rm -f "$queue/public/postlog"
touch -d '1 minute ago' $etc/main.cf $etc/master.cf

exec postfix start-fg
