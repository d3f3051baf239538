#!/bin/sh
# Makes Postfix' configuration from the environment and from mounted files, then becomes Postfix.
#
#   RELAY_HOSTNAME    the relay's full name, with which it greets; must be set
#   RELAY_HOST        the next server, [name]:port; unset: the MX of each recipient
#   RELAY_NETWORKS    networks that may send to anywhere, as CIDR, by spaces or commas
#   RELAY_TLS         TLS to the next server: secure (the default), verify or encrypt. Without RELAY_HOST
#                     may (the default) or encrypt: hardly an MX has a certificate with the recipient's domain
#   RELAY_MAX_BYTES   the octets that a message may have
#
#   /run/secrets/sasl_passwd      the login at the next server: [name]:port user:…
#   /run/secrets/tls.crt tls.key  the relay's certificate, PEM; opens 587, which demands TLS
#   /run/secrets/users            who may log in at 587, one name:… a line
#
# A login at the next server and a certificate that are changed while it runs are taken within ten
# seconds; users and the environment are read at the start only.
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

# Postfix looks the login up by the very text of relayhost.
has_login() {
    awk -v next_hop="$next" '$1 == next_hop { found = 1 } END { exit !found }' $secrets/sasl_passwd
}

# A copy that no one else can read, and its table.
login() {
    install -m 0600 $secrets/sasl_passwd $etc/sasl_passwd && postmap "hash:$etc/sasl_passwd"
}

identity() {
    (umask 077 && cat $secrets/tls.key $secrets/tls.crt >$etc/identity.pem.new) &&
        mv -f $etc/identity.pem.new $etc/identity.pem
}

hostname=${RELAY_HOSTNAME:-}
case $hostname in
'') fail "RELAY_HOSTNAME is not set: the full name of the relay" ;;
*[!A-Za-z0-9.-]* | .* | *. | *..* | -*) fail "RELAY_HOSTNAME=$hostname is no host name" ;;
*.*) set_main myhostname "$hostname" ;;
*) fail "RELAY_HOSTNAME=$hostname has no domain: others refuse to be greeted with a bare name" ;;
esac

networks='127.0.0.0/8, [::1]/128'
set -f
for network in $(echo "${RELAY_NETWORKS:-}" | tr ',' ' '); do
    # None that is a large part of the world: 172.0.0.0/8 is, 10.0.0.0/8 is not.
    if echo "$network" | grep -Eq '^(([0-9]{1,3}\.){3}[0-9]{1,3}/(1[2-9]|2[0-9]|3[0-2])|(10\.[0-9]{1,3}|100\.64)\.0\.0/([89]|1[01]))$'; then
        # And whole ones: where an address has more bits than its network, smtpd refuses all mail.
        case $(postmap -q "${network%/*}" "cidr:{{$network yes}}" 2>/dev/null) in
        yes) networks="$networks, $network" ;;
        *) fail "RELAY_NETWORKS: $network is no network: bits beyond its length are set, or it has no such length" ;;
        esac
    elif echo "$network" | grep -Eiq '^[0-9a-f:]*:[0-9a-f:]*/(3[2-9]|[4-9][0-9]|1[01][0-9]|12[0-8])$'; then
        networks="$networks, [${network%/*}]/${network#*/}"
    else
        fail "RELAY_NETWORKS: $network is no network of the form 10.1.0.0/16 or fd00::/48, or one far too wide"
    fi
done
set +f
set_main mynetworks "$networks"

next=${RELAY_HOST:-}
if [ -n "$next" ]; then
    # Without brackets Postfix would look for an MX of that name.
    echo "$next" | grep -Eq '^\[[A-Za-z0-9.:-]+\](:[0-9]{1,5})?$' ||
        fail "RELAY_HOST=$next is not of the form [name]:port"
    set_main relayhost "$next"
    case $next in
    # There TLS comes first.
    *]:465) set_main smtp_tls_wrappermode yes ;;
    esac
    tls=${RELAY_TLS:-secure}
else
    tls=${RELAY_TLS:-may}
fi
case $tls,$next in
secure,?* | verify,?* | encrypt,* | may,) set_main smtp_tls_security_level "$tls" ;;
*,?*) fail "RELAY_TLS=$tls is none of secure, verify and encrypt" ;;
*) fail "RELAY_TLS=$tls is none of may and encrypt, and there is no RELAY_HOST" ;;
esac

if [ -n "${RELAY_MAX_BYTES:-}" ]; then
    case $RELAY_MAX_BYTES in
    *[!0-9]* | 0*) fail "RELAY_MAX_BYTES=$RELAY_MAX_BYTES is no number of octets" ;;
    *) set_main message_size_limit "$RELAY_MAX_BYTES" ;;
    esac
fi

if [ -s $secrets/sasl_passwd ]; then
    [ -n "$next" ] || fail "there is a login for the next server, and RELAY_HOST is not set"
    has_login || fail "$secrets/sasl_passwd has no line that begins with $next"
    login || fail "$secrets/sasl_passwd is no table"
    set_main smtp_sasl_auth_enable yes
    set_main smtp_sasl_password_maps "hash:$etc/sasl_passwd"
fi

if [ -s $secrets/tls.crt ]; then
    [ -s $secrets/tls.key ] || fail "there is $secrets/tls.crt, and no tls.key"
    identity
    set_main smtpd_tls_chain_files $etc/identity.pem
    set_main smtpd_tls_security_level may
    set_main smtpd_tls_received_header yes
    # Before the service has an option, it must be there.
    postconf -Me '587/inet = 587 inet n - n - - smtpd'
    postconf -Pe '587/inet/smtpd_tls_security_level = encrypt'
    if [ -s $secrets/users ]; then
        install -d $etc/sasl
        rm -f $etc/sasl/users
        # The last line counts without its end, too; a password may have colons.
        while read -r line || [ -n "$line" ]; do
            [ -n "$line" ] || continue
            user=${line%%:*} word=${line#*:}
            [ "$user" != "$line" ] || word=
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
# Copies of secrets follow them; one that is not right is left, with a line that says so.
follow() {
    if [ -e $etc/sasl_passwd ] && ! cmp -s $secrets/sasl_passwd $etc/sasl_passwd; then
        has_login && login && postfix reload ||
            echo "entrypoint: $secrets/sasl_passwd has changed, and has no login for $next" >&2
    fi
    if [ -e $etc/identity.pem ] && ! cat $secrets/tls.key $secrets/tls.crt | cmp -s - $etc/identity.pem; then
        identity && postfix reload || echo "entrypoint: the changed certificate could not be taken" >&2
    fi
}
while sleep 10; do
    fresh resolv.conf || echo "entrypoint: $queue/etc/resolv.conf could not be written" >&2
    follow
done &

# A socket of an earlier run, at which Postfix would wait; and daemons wait until main.cf is two seconds old.
rm -f "$queue/public/postlog"
touch -d '1 minute ago' $etc/main.cf $etc/master.cf

exec postfix start-fg
