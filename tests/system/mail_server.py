"""A mail server that keeps what it is sent: as much of SMTP as a client needs to hand over a mail."""

from __future__ import annotations

import email
import json
import socketserver
import threading
from email.message import EmailMessage
from email.policy import default
from typing import Self


class _Mailbox(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Conversation)
        self.mails = []


class _Conversation(socketserver.StreamRequestHandler):
    def handle(self):
        """Answer each command until the client leaves."""
        self.say("220 ready")
        for line in self.rfile:
            command = line.strip().upper()
            if command == b"QUIT":
                self.say("221 bye")
                return
            if command == b"DATA":
                self.say("354 go on")
                self.server.mails.append(email.message_from_bytes(b"".join(self.lines()), policy=default))
            self.say("250 fine")

    def lines(self):
        """The lines of a mail, up to the lone dot."""
        for line in self.rfile:
            if line == b".\r\n":
                return
            yield line.removeprefix(b".")

    def say(self, text):
        """One answer."""
        self.wfile.write(f"{text}\r\n".encode())


class MailServer:
    """Runs while its context lasts.

    Attributes:
        mails: What came, in order.
        connection: Airflow's connection to it, as JSON.
    """

    def __enter__(self) -> Self:
        """Start."""
        self._server = _Mailbox()
        self.mails: list[EmailMessage] = self._server.mails
        port = self._server.server_address[1]
        extra = {"disable_ssl": True, "disable_tls": True}
        self.connection = json.dumps({"conn_type": "smtp", "host": "127.0.0.1", "port": port, "extra": extra})
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
