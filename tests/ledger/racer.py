"""A process that runs one push after another, each in a child of its own that may be killed at any moment.

Run as a script. It reads one job (JSON) per line from its input, forks, and writes `[name, "started", pid]` and then
`[name, "ended", wait status]` to its output. A child writes every outcome that it is told into the job's file at once,
so that what was reported before a kill can be compared with what the CRM holds. Forking costs a hundredth of what
starting Python and importing the package and a database's driver does, so that dozens of seeds are affordable.
"""

from __future__ import annotations

import datetime as dt
import gc
import json
import os
import select
import signal
import sys
import traceback
from pathlib import Path

import sqlalchemy as sa

from airflow_provider_crm.client.account import Account
from airflow_provider_crm.client.retry import RetryRules
from airflow_provider_crm.client.session import Session
from airflow_provider_crm.clock import Clock
from airflow_provider_crm.database.database import Database
from airflow_provider_crm.exceptions import TransientError
from airflow_provider_crm.ledger.ledger import Ledger
from airflow_provider_crm.push.rules import PushRules
from airflow_provider_crm.push.run import Push
from airflow_provider_crm.report.combined import combined
from airflow_provider_crm.values.conversion import ValueRules
from airflow_provider_crm.values.opportunity import Update
from airflow_provider_crm.vendors import VENDORS
from airflow_provider_crm.vendors.credentials import Credentials

# Imported before the first fork, once for all children.
ADAPTERS = {name: VENDORS[name] for name in VENDORS}
DRIVERS = [sa.make_url(f"{name}://").get_dialect().import_dbapi() for name in ("sqlite", "postgresql")]
RETRY, BROKEN = 1, 2
_RETRIED_WORDS = {"failed", "unknown", "not_sent"}


def push(job):
    """Push the rows of one interval; False if a row is left for a retry."""
    retry = RetryRules(first_wait=0.01, longest_wait=0.1, total=job["timeout"] * 10)
    credentials = Credentials(api_key=job["key"])
    account = Account(ADAPTERS[job["vendor"]], job["url"], credentials, timeout=job["timeout"], name=job["account"])
    engine = Database(sa.create_engine(job["ledger"])).engine
    as_of = dt.datetime.fromisoformat(job["as_of"])
    rules = PushRules(concurrency=job["concurrency"], date_won_default="server")
    with Session(account, retry=retry) as session, Path(job["out"]).open("a", buffering=1) as out:
        session.http.headers["X-Label"] = job.get("label", "")
        catalogue = session.catalogue(tuple(job["fields"]))
        ledger = Ledger(
            Database(engine),
            combine=combined,
            account=job["account"],
            run_key=job["run_key"],
            lease=job["lease"],
            clock=Clock(),
        )
        ledger.open(as_of)
        values = ValueRules()
        rows = [
            Update(
                number,
                record_id,
                {name: values.value(catalogue.fields[name], raw) for name, raw in fields.items()},
                as_of,
            )
            for number, (record_id, fields) in enumerate(job["rows"].items())
        ]
        ended = True
        for outcome in Push(session, catalogue, rules, ledger).run(rows):
            out.write(json.dumps([outcome.record_id, outcome.word.value, outcome.code, outcome.reason]) + "\n")
            ended = ended and outcome.word.value not in _RETRIED_WORDS
        if ended:
            ledger.close({})
    return ended


def _child(job):
    """Never returns: the parent's loop is no business of the child."""
    status = BROKEN
    signal.setitimer(signal.ITIMER_PROF, job.get("cpu_seconds") or 0.0)  # its signal kills; 0 sets none
    try:
        status = 0 if push(job) else RETRY
    except TransientError:  # before the first row: the task is tried again
        status = RETRY
    except BaseException:  # noqa: BLE001 - told by the status, the reason is in the test's output
        traceback.print_exc()
    os._exit(status)


def _report_event(*event):
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def main():
    """Serve until the input ends."""
    awake, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    gc.freeze()  # a child that never looks at what all share does not copy it
    names, text = {}, b""
    while True:
        readable, _, _ = select.select([0, awake], [], [])
        if awake in readable:
            os.read(awake, 4096)
            while names:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                _report_event(names.pop(pid), "ended", status)
        if 0 in readable:
            read = os.read(0, 1 << 16)
            if not read:
                return
            *lines, text = (text + read).split(b"\n")
            for line in lines:
                job = json.loads(line)
                pid = os.fork()
                if pid == 0:
                    _child(job)
                names[pid] = job["name"]
                _report_event(job["name"], "started", pid)


if __name__ == "__main__":
    main()
