"""Sentry's own normaliser on events, one line of JSON each.

Answers each with one line: {"errors": ..., "meta": ..., "lost": [...]}, where lost are the
members of the event that are not as they were sent.
"""

import json
import sys

from sentry_relay.processing import StoreNormalizer

normalizer = StoreNormalizer(project_id=1, client="notifier-sentry/0", protocol_version="7")


def tags(event):
    """As an object, without the one that server_name becomes."""
    found = event.get("tags") or {}
    found = dict(found)
    found.pop("server_name", None)
    return found


for line in sys.stdin:
    sent = json.loads(line)
    out = normalizer.normalize_event(raw_event=line)
    lost = [
        key
        for key in ("event_id", "level", "release", "environment", "extra", "fingerprint")
        if sent.get(key) != out.get(key)
    ]
    if sent["tags"] != tags(out):
        lost.append("tags")
    if sent.get("server_name") != dict(out.get("tags") or {}).get("server_name"):
        lost.append("server_name")
    if sent["logentry"]["formatted"] != out["logentry"]["formatted"]:
        lost.append("logentry")
    for name, context in sent.get("contexts", {}).items():
        kept = dict(out["contexts"].get(name) or {})
        kept.pop("type", None)
        if kept != context:
            lost.append("contexts." + name)
    print(json.dumps({"errors": out.get("errors"), "meta": out.get("_meta"), "lost": lost}), flush=True)
