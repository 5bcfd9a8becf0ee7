"""Local servers that stand for the services which notifiers call; each keeps what it was sent."""

from __future__ import annotations

import datetime as dt
import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PAGERDUTY = "events.pagerduty.com"


class _Answering(BaseHTTPRequestHandler):
    """Keeps JSON bodies and gives the server's answer to each."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        """Keep what comes."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.received.append((self.path, body))
        status, answer = self.server.answer(body)
        self.send_response(status)
        self.send_header("Content-Type", "application/json" if answer.startswith(b"{") else "text/plain")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def do_CONNECT(self):
        """Stand for the host that a client wants to reach through a proxy, with a certificate of that name."""
        self.send_response(200)
        self.end_headers()
        self.connection = self.server.tls.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", buffering=0)

    def finish(self):
        """Close what stands in the place of the first socket."""
        super().finish()
        self.connection.close()

    def log_message(self, *_):
        """Print nothing."""


class _Server:
    """Runs while its context lasts.

    Attributes:
        received: Path and body of each call, in order.
        url: Its address.
    """

    def __enter__(self):
        """Start."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Answering)
        self._server.answer, self._server.received = self.answer, []
        self.received = self._server.received
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        """Stop."""
        self._server.shutdown()
        self._server.server_close()


class SlackServer(_Server):
    """An incoming webhook of Slack."""

    TOKEN = "T00/B00/token"

    def answer(self, body):
        """Say that the message was taken."""
        return 200, b"ok"

    @property
    def connection(self):
        """Airflow's connection to it, as JSON."""
        return json.dumps({"conn_type": "slackwebhook", "host": f"{self.url}/services", "password": self.TOKEN})

    @property
    def texts(self):
        """The messages."""
        return [body["text"] for _, body in self.received]


class PagerdutyServer(_Server):
    """PagerDuty's events API, as a proxy: its address is fixed in the notifier.

    Args:
        folder: For its certificate.
    """

    def __init__(self, folder):
        self.certificate, self._tls = _certificate(PAGERDUTY, folder)
        self.connection = json.dumps({"conn_type": "pagerduty_events", "password": "a" * 32})

    def __enter__(self):
        """Start."""
        super().__enter__()
        self._server.tls = self._tls
        return self

    def answer(self, body):
        """Accept an event that the API accepts."""
        needed = {"routing_key", "event_action"} | ({"payload"} if body.get("event_action") == "trigger" else set())
        if needed - body.keys():
            return 400, b'{"status": "invalid event"}'
        return 202, json.dumps({"status": "success", "dedup_key": body["dedup_key"]}).encode()

    @property
    def environment(self):
        """The variables by which its client finds it, and no other one: Slack's does not read the first two."""
        file = str(self.certificate)
        return {
            "ALL_PROXY": self.url,
            "NO_PROXY": "127.0.0.1,localhost",
            "SSL_CERT_FILE": file,
            "REQUESTS_CA_BUNDLE": file,
        }

    @property
    def events(self):
        """The events."""
        return [body for path, body in self.received if path == "/v2/enqueue"]


def _certificate(host, folder):
    """Make a certificate of a host that signs itself; returns its file and the context of a server that has it."""
    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, both = folder / "certificate.pem", folder / "both.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    both.write_bytes(public.read_bytes() + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return public, context
