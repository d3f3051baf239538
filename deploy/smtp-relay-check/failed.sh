#!/bin/sh
# Tells by Slack that a unit failed, which systemd names in the environment of OnFailure='s unit.
# Installed as /usr/libexec/smtp-relay-check/failed.sh; $1 is notifierctl's settings.
set -eu

# None is there when the unit was started by hand, and no code where nothing was run.
unit=${MONITOR_UNIT:-smtp-relay-check.service}

printf '{"id":"%s","name":"mail relay","state":"FAILED","finished":"%s","slave":"%s","framework":"systemd","message":"%s ended with code %s: journalctl -u %s"}\n' \
    "${MONITOR_INVOCATION_ID:-$(date +%s)}" "$(date -u +%FT%TZ)" "$(uname -n)" \
    "$unit" "${MONITOR_EXIT_STATUS:-unknown}" "$unit" |
    notifierctl send slack -config "$1" -failure -
