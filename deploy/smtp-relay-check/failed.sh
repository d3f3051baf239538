#!/bin/sh
# Tells by Slack that a unit failed, which systemd names in the environment of OnFailure='s unit.
# Installed as /usr/libexec/smtp-relay-check/failed.sh; $1 is notifierctl's settings.
set -eu

printf '{"id":"%s","name":"mail relay","state":"FAILED","finished":"%s","slave":"%s","framework":"systemd","message":"%s ended with code %s: journalctl -u %s"}\n' \
    "$MONITOR_INVOCATION_ID" "$(date -u +%FT%TZ)" "$(uname -n)" \
    "$MONITOR_UNIT" "$MONITOR_EXIT_STATUS" "$MONITOR_UNIT" |
    notifierctl send slack -config "$1" -failure -
