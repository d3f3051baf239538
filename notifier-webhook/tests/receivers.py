"""Checks calls with the library of Standard Webhooks, and CloudEvents with their SDK.

Standard input: a JSON list of {"key", "headers", "body", "event"}. Standard output: a JSON list with what was found
of each, {"verified": true or why not, "event": {"id", "type", "data"} or null}.
"""

import json
import sys

from cloudevents.http import from_http
from standardwebhooks import Webhook

found = []
for call in json.load(sys.stdin):
    body = call["body"].encode()
    try:
        Webhook(call["key"]).verify(body, call["headers"], json_parse=False)
        verified = True
    except Exception as e:
        verified = f"{type(e).__name__}: {e}"
    event = None
    if call["event"]:
        parsed = from_http(call["headers"], body)
        event = {"id": parsed["id"], "type": parsed["type"], "subject": parsed["subject"], "data": parsed.data}
    found.append({"verified": verified, "event": event})
json.dump(found, sys.stdout)
