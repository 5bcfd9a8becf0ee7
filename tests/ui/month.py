"""A month of syncs in a ledger: two accounts, three Dags, and each kind of day that a page has to explain.

Everything is counted from a `now` that the caller gives, so that a page over it looks the same on every day:

| days ago | Dag | what happened |
|---|---|---|
| 0 | `deal_values` | three rows refused, for the sixth day; the limit of the day is nearly used |
| 0 | `deal_plans` | a plan waits for an answer |
| 0 | `deal_values`, task `stages` | a sync is running |
| 2 | `deal_values` | nothing to write: all rows unchanged |
| 3 | `health_scores` | its last run: the CRM ignored seven values; overdue since |
| 5 | `deal_values` | stopped by a guardrail |
| 6 | `deal_plans` | an undo, partly applied |
| 9 | `deal_values` | an outage of the CRM |
| 12 | `deal_values` | all rows stale |
| 16 | `deal_values` | ended early by its timeout |
| 18 | `deal_values` | killed: no report |
| 20 | `deal_values` | landed at its second try |
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections import Counter

import sqlalchemy as sa

from airflow_provider_crm.database.schema import (
    changes,
    field_states,
    plan_rows,
    plans,
    rejects,
    runs,
    tries,
)
from airflow_provider_crm.report.verdict import RunFacts, run_verdict

NOW = dt.datetime(2026, 11, 30, 8, 30, tzinfo=dt.UTC)
DAYS = 30
CLOSE, RAZE = "close:api.close.com:orga_1", "raze:api.raze.test:raze_default"
DEALS, SCORES, PLANS = "deal_values", "health_scores", "deal_plans"
DAGS = (DEALS, SCORES, PLANS)
ROWS, OUTAGE_ROWS = 40, 3_000
REFUSED = (
    ("oppo_007", "invalid", "CURRENCY", "deal_currency", "deal_currency is EUR, and this organization has USD."),
    ("oppo_019", "rejected", "BAD_REQUEST", "", "Close answered 400: date_won is before the opportunity was made."),
    ("oppo_023", "rejected", "NOT_FOUND", "", "Close answered 404: there is no such opportunity."),
)
OUTAGE = "Close failed 5 calls one after another, every attempt; Close answered 503: Service Unavailable."
ENDED = "The task reached its execution_timeout before all rows were processed."
_HOUR, _DAY = dt.timedelta(hours=1), dt.timedelta(days=1)


class Month:
    """The month before a point in time.

    Args:
        now: The end of the month.
    """

    def __init__(self, now=NOW):
        self.now = now
        self.waiting = "plan-waiting"
        self._rows = {table: [] for table in (runs, tries, changes, rejects, plans, plan_rows)}
        self._states = {}
        for ago in range(DAYS):
            self._deals(ago)
            if ago >= 3:
                self._scores(ago)
        self._running()
        for ago in (28, 21, 14, 7):
            self._plan(ago)
        self._undo(6)
        self._waiting()
        self._refusals()

    def write(self, engine):
        """Insert all rows into the tables of an open ledger."""
        self._rows[changes].sort(key=lambda line: line["at"])  # their ids are in the order of time
        with engine.begin() as connection:
            for table, rows in self._rows.items():
                connection.execute(sa.insert(table), rows)
            connection.execute(sa.insert(field_states), list(self._states.values()))

    def at(self, ago, hour, minute=0):
        """The time of some day of the month."""
        return self.now.replace(hour=hour, minute=minute, second=0, microsecond=0) - ago * _DAY

    def key(self, dag_id, task_id, ago, hour):
        """The key of a scheduled run."""
        return f"{dag_id}/{task_id}/scheduled__{self.at(ago, hour).isoformat()}"

    def plan_key(self, task_id, ago=0):
        """The key of a task of a Dag run that makes a plan."""
        return self.key(PLANS, task_id, ago, 6)

    @property
    def running(self):
        """The key of the run that goes on."""
        return self.key(DEALS, "stages", 0, 8)

    def deals(self, ago):
        """The key of the daily run of `deal_values`."""
        return self.key(DEALS, "write", ago, 2)

    def scores(self, ago):
        """The key of the daily run of `health_scores`."""
        return self.key(SCORES, "write", ago, 3)

    @property
    def undo(self):
        """The key of the run that takes a plan's values back."""
        return self.key(PLANS, "undo", 6, 9)

    def _deals(self, ago):
        key, at = self.deals(ago), self.at(ago, 2)
        special = {
            2: self._nothing, 5: self._guardrail, 9: self._outage, 12: self._stale,
            16: self._timeout, 18: self._killed, 20: self._retried,
        }  # fmt: skip
        if ago in special:
            special[ago](key, at)
            return
        refused = REFUSED if ago < 6 else ()
        written = 12 + (ago * 7) % 11
        self._write(key, at, written)
        for record_id, outcome, code, field, reason in refused:
            self._line(key, at, record_id, field, outcome=outcome, code=code, reason=reason, after='"EUR"')
        outcomes = {"updated": written, "unchanged": ROWS - written - len(refused)}
        outcomes |= Counter(outcome for _, outcome, *_ in refused)
        budget = self._budget(left=320) if ago == 0 else self._budget(left=7_000)
        causes = [
            {"outcome": outcome, "code": code, "rows": 1, "record_id": record_id, "reason": reason}
            for record_id, outcome, code, _, reason in refused
        ]
        self._run(key, at, outcomes, budget=budget, causes=causes)

    def _nothing(self, key, at):
        self._run(key, at, {"unchanged": ROWS}, calls=0, seconds=0.4)

    def _stale(self, key, at):
        for number in range(ROWS):
            self._line(
                key, at, record(number), "", outcome="stale", code="NEWER_DATA", reason="Newer data was written."
            )
        warning = f"All {ROWS} rows stale: newer data is in the CRM."
        self._run(key, at, {"stale": ROWS}, calls=0, warnings=[warning])

    def _guardrail(self, key, at):
        check = {"limit": "max_rows", "measured": "2400", "allowed": "500", "unit": "rows"}
        ended = "The run would go beyond a guardrail, and wrote nothing: max_rows: 2,400 rows, allowed are 500."
        self._run(key, at, {}, calls=0, guardrails=[check], ended_early=ended)

    def _outage(self, key, at):
        """2,598 rows did not reach the CRM: five met an error five times, and the others were not sent."""
        self._write(key, at, 402)
        for number in range(5):
            reason = "Close answered 503: Service Unavailable."
            self._line(key, at, record(402 + number), "value", outcome="failed", code="HTTP_503", reason=reason)
        outcomes = {"updated": 402, "failed": 5, "not_sent": OUTAGE_ROWS - 407}
        causes = [
            {"outcome": "not_sent", "code": "OUTAGE", "rows": OUTAGE_ROWS - 407, "record_id": "x", "reason": OUTAGE},
            {"outcome": "failed", "code": "HTTP_503", "rows": 5, "record_id": record(402), "reason": "503"},
        ]
        self._run(key, at, outcomes, causes=causes, calls=437, seconds=210.0)

    def _timeout(self, key, at):
        self._write(key, at, 21)
        self._run(key, at, {"updated": 21}, ended_early=ENDED, seconds=3_600.0)

    def _killed(self, key, at):
        self._write(key, at, 8)
        self._run(key, at, None)

    def _retried(self, key, at):
        self._write(key, at, 30)
        first = {"outcomes": {"updated": 18, "failed": 12}, "warnings": []}
        self._rows[tries].append(self._try(key, CLOSE, 1, at, first))
        self._run(key, at, {"updated": 30, "unchanged": 10}, attempts=2)

    def _scores(self, ago):
        """On its last five days the CRM accepts more and more values of `notes`, and shows others."""
        key, at = self.scores(ago), self.at(ago, 3)
        ignored = max(8 - ago, 0) + 2 if ago < 8 else 0
        written = 20 - ignored
        self._write(key, at, written, account=RAZE, fields=("deal_value", "notes"))
        for number in range(ignored):
            reason = "The CRM said success, and shows another value of notes."
            self._line(
                key,
                at,
                record(20 + number),
                "notes",
                account=RAZE,
                outcome="ignored",
                code="NOT_WRITTEN",
                reason=reason,
            )
        outcomes = {"updated": written, "unchanged": 5} | ({"ignored": ignored} if ignored else {})
        self._run(key, at, outcomes, account=RAZE)

    def _running(self):
        """1,300 rows in ten minutes, of 3,000 in the run of the day before."""
        before, key, began = self.key(DEALS, "stages", 1, 8), self.running, self.now - dt.timedelta(minutes=10)
        self._run(before, self.at(1, 8), {"updated": 2_990, "unchanged": 10}, seconds=1_200.0)
        for number in range(1_300):
            self._line(key, began + dt.timedelta(seconds=number * 0.45), record(number), "status_id", after='"stat_2"')
        self._run(key, began, None)
        rate = 1_300 / 600
        progress = {"rows": 1_300, "total": 3_000, "failed": 0, "rate": rate, "at": self.now.isoformat()}
        self._rows[runs][-1]["progress"] = json.dumps(progress)

    def _plan(self, ago):
        """A plan that was approved and applied."""
        plan_id, made, applied = f"plan-{ago}", self.plan_key("plan", ago), self.plan_key("apply", ago)
        self._planned(plan_id, made, self.at(ago, 6), applied_by=applied, applied_at=self.at(ago, 7))
        self._run(applied, self.at(ago, 7), {"updated": 20})
        self._write(applied, self.at(ago, 7), 20)

    def _undo(self, ago):
        """Of twenty values, four were changed in the CRM since, and two are refused."""
        at = self.at(ago, 9)
        reverts = self.plan_key("apply", 7)
        self._planned("plan-undo", self.undo, at, reverts=reverts, applied_by=self.undo, applied_at=at + _HOUR)
        self._write(self.undo, at, 14)
        for number in range(14, 18):
            reason = "value was changed in the CRM since the plan was made."
            self._line(self.undo, at, record(number), "value", outcome="skipped", code="CONFLICT", reason=reason)
        for number in range(18, 20):
            reason = "Close answered 400: the opportunity is locked."
            self._line(self.undo, at, record(number), "", outcome="rejected", code="BAD_REQUEST", reason=reason)
        self._run(self.undo, at, {"updated": 14, "skipped": 4, "rejected": 2}, plan_id="plan-undo")

    def _waiting(self):
        self._planned(self.waiting, self.plan_key("plan"), self.at(0, 6))

    def _planned(self, plan_id, made, at, **known):
        changed = [
            {
                "plan_id": plan_id, "row_number": number, "field": "value", "record_id": record(number),
                "verdict": "update", "before": str(amount(number)), "after": str(amount(number) + 50_000),
                "as_of": at, "code": "", "reason": "",
            }
            for number in range(20)
        ]  # fmt: skip
        self._rows[plan_rows] += changed
        fixed = {
            "plan_id": plan_id,
            "account": CLOSE,
            "run_key": made,
            "digest": "d" * 64,
            "created_at": at,
            "rows": 20,
        }
        nothing = {"reverts": None, "applied_by": None, "applied_at": None}
        self._rows[plans].append({**fixed, "counts": json.dumps({"update": 20}), **nothing, **known})
        if made != known.get("applied_by"):
            self._run(made, at, {}, plan_id=plan_id)

    def _refusals(self):
        """The same three values are refused day after day."""
        for record_id, outcome, code, _, reason in REFUSED[1:]:
            row = {"account": CLOSE, "record_id": record_id, "fingerprint": record_id, "rests": code == "BAD_REQUEST"}
            days = {"first_at": self.at(5, 2), "last_at": self.at(0, 2), "attempts": 6}
            self._rows[rejects].append({**row, "outcome": outcome, "code": code, "reason": reason, **days})

    def _write(self, key, at, number, *, account=CLOSE, fields=("value", "status_id")):
        for index in range(number):
            for field in fields:
                texts = {"value": str(amount(index)), "deal_value": f"{amount(index) // 100}", "status_id": '"stat_1"'}
                after = texts.get(field, '"from the warehouse"')
                self._line(key, at, record(index), field, account=account, after=after)

    def _line(self, key, at, record_id, field, *, account=CLOSE, outcome="updated", after=None, code="", reason=""):
        before = None if field not in ("value", "deal_value") or after is None else "100000"
        self._rows[changes].append(
            {
                "run_key": key, "account": account, "record_id": record_id, "field": field, "before": before,
                "before_known": before is not None, "after": after, "outcome": outcome, "code": code,
                "reason": reason, "at": at,
            }
        )  # fmt: skip
        if outcome == "updated" and at >= self.at(0, 0):
            state = {"account": account, "record_id": record_id, "field": field, "value": after, "known": True}
            state |= {"as_of": at, "run_key": key, "acknowledged_at": at}
            self._states[account, record_id, field] = state

    def _run(self, key, at, outcomes, *, account=CLOSE, attempts=1, seconds=30.0, **report):
        """A run; without outcomes it has no report."""
        content = None
        if outcomes is not None:
            content = {"rows": sum(outcomes.values()), "calls": 45, "seconds": seconds, "outcomes": outcomes}
            content = {**content, "budget": None, "guardrails": [], "causes": [], "warnings": [], **report}
        row = {"run_key": key, "account": account, "as_of": at, "tries": attempts, "started_at": at}
        ended = None if content is None else at + dt.timedelta(seconds=seconds)
        text = None if content is None else json.dumps(content)
        self._rows[runs].append({**row, "finished_at": ended, "report": text, **_counts(content)})
        self._rows[tries].append(self._try(key, account, attempts, at, content))

    @staticmethod
    def _try(key, account, number, at, report):
        ended = None if report is None else at + dt.timedelta(seconds=30)
        text = None if report is None else json.dumps(report)
        row = {"run_key": key, "account": account, "try_number": number, "started_at": at}
        return {**row, "finished_at": ended, "report": text}

    def _budget(self, *, left):
        ends_at = (self.at(0, 0) + _DAY).isoformat()
        day = {"limit": 10_000, "used": 45, "left": left, "ends_at": ends_at, "share": 0.9}
        group = {"group": "", "calls": 45, "limit": 100, "window": 1.0, "allowed": 3_000, "cost": None, "kind": None}
        return {"key": "3fa9c1d2e0b4", "share": 0.9, "waited": 0.5, "groups": [{**group, "day": day}]}


def _counts(report):
    """What stands beside a report in its run's row."""
    if report is None:
        return {"outcomes": None, "verdict": None, "progress": None}
    verdict = run_verdict(RunFacts.from_report(report)).word.value
    return {"outcomes": json.dumps(report["outcomes"]), "verdict": verdict, "progress": None}


def record(number):
    """The id of one opportunity."""
    return f"oppo_{number:03}"


def amount(number):
    """The amount of one opportunity, in cents."""
    return 100_000 + number * 7_919 % 90_000 * 10


def add_to_airflow(month, bundle_name):
    """Give Airflow the month's Dags, the question about its plan, and the task that is running.

    Args:
        month: The month.
        bundle_name: A bundle that Airflow knows; its team may read the Dags.
    """
    from airflow.models.dag import DagModel
    from airflow.models.dagrun import DagRun
    from airflow.models.hitl import HITLDetail
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    question = month.plan_key("approve").split("/", 2)
    instances = {"waiting": (*question, "awaiting_input"), "running": (*month.running.split("/", 2), "running")}
    with create_session() as session:
        for dag_id in DAGS:
            dag = {"dag_id": dag_id, "bundle_name": bundle_name, "relative_fileloc": "x.py", "is_stale": False}
            session.merge(DagModel(**dag, is_paused=False, next_dagrun_create_after=month.now + _HOUR))
        session.flush()
        for name, (dag_id, task_id, run_id, state) in instances.items():
            if session.scalar(sa.select(DagRun).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id)):
                continue
            of_run = {"dag_id": dag_id, "run_id": run_id, "run_type": "scheduled", "span_status": "not_started"}
            session.execute(sa.insert(DagRun).values(**of_run, state="running", run_after=month.now, clear_number=0))
            ti_id = uuid.uuid5(uuid.NAMESPACE_URL, f"{run_id}/{name}")
            of_task = {"id": ti_id, "dag_id": dag_id, "task_id": task_id, "run_id": run_id, "map_index": -1}
            session.execute(
                sa.insert(TaskInstance).values(**of_task, state=state, pool="default_pool", pool_slots=1, try_number=1)
            )
            if name == "waiting":
                body = f"Plan {month.waiting}"
                asked = {"ti_id": ti_id, "options": ["Approve", "Reject"], "subject": "Write it?", "body": body}
                session.execute(sa.insert(HITLDetail).values(**asked, params={}, params_input={}))
