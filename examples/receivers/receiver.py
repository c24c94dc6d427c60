"""Receives the webhooks of one hook: checks each, keeps it, answers, and works in order. WEBHOOK_SECRET=whsec_... python3 receiver.py"""

import base64
import hashlib
import hmac
import json
import os
import sqlite3
import threading
import time
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FIRST = int(os.environ.get("FIRST", "1"))  # the number to begin with, for a hook that has sent some already
arrived = threading.Event()


def work(sequence, told):
    """Yours. It may take long; it is called once for each event, in order, and again only where the program died within it."""
    print(sequence, json.dumps(told), flush=True)


KEY = base64.b64decode(os.environ.get("WEBHOOK_SECRET", "").removeprefix("whsec_") + "==")
if not KEY:
    raise SystemExit("WEBHOOK_SECRET has to be the webhook's secret, whsec_...")


def genuine(headers, body):
    """Whether it was signed with the secret, less than five minutes ago."""
    timestamp = headers.get("webhook-timestamp", "")
    if not timestamp.isdecimal() or abs(time.time() - int(timestamp)) > 300:
        return False
    signed = f"{headers.get('webhook-id')}.{timestamp}.".encode() + body
    expected = b"v1," + base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest())
    given = headers.get("webhook-signature", "").encode().split(b" ")
    return any(hmac.compare_digest(expected, one) for one in given)


def inbox():
    db = sqlite3.connect(os.environ.get("INBOX", "inbox.db"), isolation_level=None)
    db.execute("CREATE TABLE IF NOT EXISTS inbox (id TEXT PRIMARY KEY, sequence INTEGER UNIQUE, body TEXT, done BOOLEAN DEFAULT FALSE)")
    return closing(db)


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(max(0, min(int(self.headers.get("content-length", 0)), 1_000_000)))
        allowed = genuine(self.headers, body)
        if allowed and "tidings-sequence" in self.headers:  # a test has none
            with inbox() as db:  # a repeat has the same id, and changes nothing
                kept = (self.headers["webhook-id"], int(self.headers["tidings-sequence"]), body.decode())
                db.execute("INSERT OR IGNORE INTO inbox (id, sequence, body) VALUES (?, ?, ?)", kept)
            arrived.set()
        self.send_response(200 if allowed else 401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def work_off():
    """Works on what is kept, in the order of its numbers; what comes after a missing one waits for it."""
    following = "SELECT sequence, body FROM inbox WHERE sequence = coalesce((SELECT max(sequence) FROM inbox WHERE done), ?) + 1"
    with inbox() as db:
        while True:
            arrived.clear()
            while found := db.execute(following, (FIRST - 1,)).fetchone():
                work(found[0], json.loads(found[1]))
                db.execute("UPDATE inbox SET done = TRUE WHERE sequence = ?", (found[0],))
            arrived.wait()


if __name__ == "__main__":
    with ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8701"))), Receiver) as server:
        print(f"Listening on http://127.0.0.1:{server.server_port}", flush=True)
        threading.Thread(target=work_off, daemon=True).start()
        server.serve_forever()
