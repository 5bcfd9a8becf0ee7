"""Make calls to the sandbox as users do, by hooks and by operators, and write down what each of them sent.

Time stands still at noon UTC, passes only by waiting, and lies in the past of every machine. Rows are sent one at a
time. So two runs of a scenario send the same bytes.
"""

from __future__ import annotations

import datetime as dt
import json
import math

from airflow_provider_crm.client.retry import RetryRules
from airflow_provider_crm.client.session import Session
from airflow_provider_crm.clock import Clock
from airflow_provider_crm.exceptions import CrmError
from airflow_provider_crm.hooks.crm import CrmHook
from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator
from tests.operators.conftest import Run

NOW = dt.datetime(2024, 6, 15, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


class Crm:
    """One vendor in the sandbox, and the text of what was sent to it.

    Args:
        vendor: Name of the vendor.
        sandbox: The sandbox.
        recorder: The recorder in front of it.
        setenv: Sets an environment variable.

    Attributes:
        account: The vendor's account in the sandbox.
    """

    def __init__(self, vendor, sandbox, recorder, setenv):
        self.vendor = vendor
        self.sandbox = sandbox
        self.account = getattr(sandbox, vendor)
        self._recorder = recorder
        self._setenv = setenv
        self._hooks = []
        self._steps = []
        sandbox.clock.set(NOW)
        self.clock = Clock(
            monotonic=lambda: sandbox.clock.now().timestamp(),
            now=sandbox.clock.now,
            sleep=lambda seconds: sandbox.clock.advance(math.ceil(seconds * 1e6) / 1e6),
            jitter=lambda: 0.0,
        )
        self.connect()

    @property
    def text(self):
        """All steps, and the requests that each of them sent."""
        return "\n".join(self._steps)

    def close(self):
        """Close the connections of all hooks."""
        for hook in self._hooks:
            hook.session.close()

    def connect(self, *, timezone="UTC", extra=None, **connection):
        """Set the Airflow connection that all hooks and operators use from now on."""
        own = json.loads(self.sandbox.connection_uris()[f"{self.vendor}_default"])
        own |= {"host": self._recorder.url, "extra": {"timezone": timezone, **(extra or {})}}
        self._setenv("AIRFLOW_CONN_CRM", json.dumps(own | connection))

    def hook(self):
        """Return a new hook of the connection."""
        hook = CrmHook.for_connection("crm")
        hook._session = Session(hook.account(), clock=self.clock)
        self._hooks.append(hook)
        return hook

    def step(self, title, function):
        """Call a function, and write down what it sent under a title and its result."""
        try:
            result = function()
        except CrmError as err:
            result = type(err).__name__
        requests = self._recorder.taken()
        self._steps.append("\n".join([f"=== {title} -> {result}\n", *requests]))
        return result

    def update(self, hook, fields, record_id=None, *, timezone=None):
        """Write fields of one record by the hook."""
        record_id = record_id or RECORD[self.vendor]
        zone = f" in {timezone}" if timezone else ""

        def update():
            hook.update_opportunity(record_id, fields, timezone=timezone)
            return "updated"

        return self.step(f"{record_id}{zone}: {fields!r}", update)

    def updates(self, *rows):
        """Write the fields of several rows to one record, by one hook."""
        hook = self.hook()
        for fields in rows:
            self.update(hook, fields)

    def run(self, title, *, kind=UpdateOpportunityOperator, try_number=1, as_of=NOW, run_id="run", **arguments):
        """Run an operator, and write down what it sent; returns its report."""
        clock = self.clock

        class Timed(kind):
            def session_for(self, account):
                return Session(account, retry=RetryRules(defer_after=self.defer_after), clock=clock)

        defaults = {"task_id": "task", "crm_conn_id": "crm", "concurrency": 1}
        run = Run(try_number=try_number, as_of=as_of)
        run.context["ti"].run_id = run_id
        run.context["ti"].task_id = arguments.get("task_id", "task")

        def execute():
            run.of(Timed(**{**defaults, **arguments}).execute)
            if run.report is None:
                raise run.error
            return run.report.get("outcomes", run.report.get("counts"))

        self.step(title, execute)
        return run.report

    def rows(self, title, data, **arguments):
        """Write rows by the operator; each column is named for its field, and the ids are in `id`."""
        names = {name: name for row in data for name in row if name != "id"}
        return self.run(title, **{"data": data, "id_column": "id", "fields": names, **arguments})


RECORD = {"close": "oppo_1", "raze": "opp_1", "hubspot": "171591000001"}
