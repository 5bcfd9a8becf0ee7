"""Takes the spans that OpenTelemetry's exporters send over HTTP, as a collector does."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass
class Collector:
    """What has been received.

    Attributes:
        environment: Sends the spans of an Airflow here.
        spans: In the order in which they came.
    """

    environment: dict[str, str]
    spans: list = field(default_factory=list, repr=False)

    def below(self, name, **attributes):
        """The spans below each span of that name with these attributes, as names from it down."""
        names = {span.span_id: span.name for span in self.spans}
        parents = {span.span_id: span.parent_span_id for span in self.spans}
        tops = [span for span in self.spans if span.name == name and attributes.items() <= told(span).items()]
        found = []
        for top in tops:
            for span in self.spans:
                path, place = [span.name], span.span_id
                while (place := parents.get(place)) in names and place != top.span_id:
                    path.append(names[place])
                if place == top.span_id:
                    found.append("/".join(reversed(path)))
        return sorted(found)


def told(span):
    """The text attributes of a span."""
    return {one.key: one.value.string_value for one in span.attributes}


@contextmanager
def collector():
    """A collector on a free port of this machine."""
    found = Collector({})

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            request = ExportTraceServiceRequest.FromString(body)
            for resource in request.resource_spans:
                for scope in resource.scope_spans:
                    found.spans.extend(scope.spans)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    found.environment = {
        "AIRFLOW__TRACES__OTEL_ON": "True",
        "OTEL_TRACES_EXPORTER": "otlp_proto_http",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"http://127.0.0.1:{server.server_port}/v1/traces",
        "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": "none",
    }
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
