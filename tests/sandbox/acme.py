"""A tiny third API, as another distribution would add it: batches of deals, a sliding limit, switches of its own."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from airflow_provider_crm.sandbox import (
    AppliedChange,
    Limiter,
    Records,
    Rule,
    SandboxApi,
    Switches,
    json_response,
)


@dataclass(frozen=True, kw_only=True)
class AcmeSwitches(Switches):
    """The switches of every API and those of Acme.

    | Acme | effect |
    |---|---|
    | `acme_limit`, `acme_window` | deals per seconds, which slide |
    | `acme_poisoned` | a batch with one of these ids is refused as a whole |
    | `acme_delay` | seconds that the `delay` of an answer names; None: it has none |
    """

    acme_limit: int | None = None
    acme_window: float = 10.0
    acme_poisoned: frozenset[str] = frozenset()
    acme_delay: float | None = None


class AcmeAccount:
    """Deals, each a dict of whatever was written."""

    def __init__(self, context):
        self.records = Records()
        self.token = "token_acme"
        self._context = context

    def add_opportunity(self, id=None, **fields):  # noqa: A002 - the sandbox's word
        """Add a deal."""
        with self._context.lock:
            record_id = id or f"deal_{len(self.records.ids()) + 1}"
            self.records.seed(record_id, {"id": record_id, "amount": None} | fields)
            return self.opportunity(record_id)

    def opportunity(self, id):  # noqa: A002 - the sandbox's word
        """Return a deal."""
        with self._context.lock:
            stored = self.records.get(id)
            if stored is None:
                raise KeyError(id)
            return dict(stored)


class AcmeApi:
    """`GET /acme/deals/{id}`, and `POST /acme/deals` with a list of deals."""

    def __init__(self, context):
        self.account = AcmeAccount(context)
        self._context = context
        self._limiter = Limiter()

    def connection(self, url, *, timezone):
        """Return the connection with the account's token."""
        extra = {"timezone": timezone}
        return {"conn_type": "acme", "password": self.account.token, "host": f"{url}/acme", "extra": extra}

    def handle(self, request):
        """Answer a call."""
        cost = len(request.body) if request.method == "POST" else 1
        switches = self._context.switches
        rule = Rule(limit=switches.acme_limit, window=switches.acme_window, kind="sliding")
        if not self._limiter.take([(rule, "all")], request.at.timestamp(), cost).allowed:
            return json_response(HTTPStatus.TOO_MANY_REQUESTS, {"problem": "too many deals"})
        if request.method == "POST":
            return self._write(request)
        stored = self.account.records.read(request.segments[-1], request, switches)
        return json_response(HTTPStatus.NOT_FOUND if stored is None else HTTPStatus.OK, stored)

    def fault(self, fault, request):
        """Answer with an injected status."""
        return json_response(fault.status, {"problem": fault.name})

    def _write(self, request):
        switches, records = self._context.switches, self.account.records
        if switches.acme_poisoned & {deal["id"] for deal in request.body}:
            return json_response(HTTPStatus.BAD_REQUEST, {"problem": "poisoned"})
        changes = []
        for deal in request.body:
            if not request.ignored and deal["id"] not in switches.ignored_ids:
                records.write(deal["id"], records.get(deal["id"]) | deal, request.at)
                changes.append(AppliedChange(record_id=deal["id"], fields={"amount": deal["amount"]}))
        results = [records.get(deal["id"]) for deal in request.body]
        return json_response(
            HTTPStatus.MULTI_STATUS, {"results": results, "delay": switches.acme_delay}, changes=tuple(changes)
        )


ACME = SandboxApi(
    name="acme",
    display_name="Acme",
    roots=("acme",),
    base_path="/acme/deals/",
    switches=AcmeSwitches,
    build=AcmeApi,
    example=lambda number: {"amount": 100 * number},
)
