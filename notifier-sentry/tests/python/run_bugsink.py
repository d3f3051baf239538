"""A Bugsink of its own in an empty folder, told what to do line by line.

Usage: python run_bugsink.py FOLDER

Prints {"port": N} when it listens on 127.0.0.1. Then each line of its input is a command, answered
by one line of JSON:

  project NAME    makes a project: {"id": 1, "dsn": "http://..."}
  events ID       what a project has: {"events": [...], "issues": [...], "envelopes": [...]}

It ends with its input.
"""

import io
import json
import os
import socketserver
import sys
import threading
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

SETTINGS = """
from bugsink.settings.default import *

SECRET_KEY = "x" * 50
TIME_ZONE = "UTC"
ALLOWED_HOSTS = ["*"]
for name, database in DATABASES.items():
    database["NAME"] = {folder!r} + "/" + name + ".sqlite3"
    # Slow machines are not to fail a test.
    database["OPTIONS"].update(query_timeout=60, timeout=60)
SNAPPEA = {{"TASK_ALWAYS_EAGER": True}}
EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
BUGSINK = {{
    "BASE_URL": "http://127.0.0.1",
    "SINGLE_USER": True,
    "SINGLE_TEAM": True,
    "PHONEHOME": False,
    "VALIDATE_ON_DIGEST": "strict",
    "KEEP_ENVELOPES": 100,
    "INGEST_STORE_BASE_DIR": {folder!r} + "/ingestion",
}}
"""


class Payload(io.BytesIO):
    """Still there when the parser is done with it."""

    def close(self):
        pass


class Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Handler(WSGIRequestHandler):
    def log_message(self, *_):
        pass


def start(folder):
    with open(os.path.join(folder, "bugsink_conf.py"), "w") as conf:
        conf.write(SETTINGS.format(folder=folder))
    os.chdir(folder)
    sys.path.insert(0, folder)
    os.environ["DJANGO_SETTINGS_MODULE"] = "bugsink_conf"
    from bugsink.wsgi import application
    from django.core.management import call_command

    for database in ("default", "snappea"):
        call_command("migrate", database=database, verbosity=0, interactive=False, stdout=io.StringIO())
    server = make_server("127.0.0.1", 0, application, Server, Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


def project(port, name):
    from projects.models import Project

    made = Project.objects.create(name=name)
    return {"id": made.id, "dsn": "http://%s@127.0.0.1:%d/%d" % (made.sentry_key.hex, port, made.id)}


def items(envelope):
    """An envelope that arrived, as Bugsink's own parser takes it apart."""
    from ingest.parsers import StreamingEnvelopeParser

    parser = StreamingEnvelopeParser(io.BytesIO(bytes(envelope.data)))
    header = parser.get_envelope_headers()
    found = []
    for head, output in parser.get_items(lambda _: Payload()):
        payload = output.getvalue()
        if head["type"] != "event":
            found.append({"head": head, "text": payload.decode()})
    return {"event_id": header["event_id"], "has_dsn": "dsn" in header, "files": found}


def events(project):
    from events.models import Event
    from ingest.models import Envelope
    from issues.models import Issue

    return {
        "events": [
            {
                "id": e.event_id.hex,
                "data": e.get_parsed_data(),
                "tags": {t.value.key.key: t.value.value for t in e.tags.all()},
            }
            for e in Event.objects.filter(project_id=project).order_by("digested_at")
        ],
        "issues": [
            {"title": i.title(), "events": i.stored_event_count, "digested": i.digested_event_count}
            for i in Issue.objects.filter(project_id=project)
        ],
        "envelopes": [items(e) for e in Envelope.objects.filter(project_pk=project).order_by("id")],
    }


def main():
    port = start(os.path.realpath(sys.argv[1]))
    print(json.dumps({"port": port}), flush=True)
    for line in sys.stdin:
        command, argument = line.split()
        answer = project(port, argument) if command == "project" else events(int(argument))
        print(json.dumps(answer), flush=True)


main()
