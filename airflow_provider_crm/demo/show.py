"""Print the demo: a line per step, then tables that fit the terminal."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table
from rich.text import Text

from airflow_provider_crm.demo.expectations import FAILURES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from airflow_provider_crm.demo.ledger_story import Played

_TITLES = {"close": "Close", "raze": "Raze", "hubspot": "HubSpot", "crm_salesforce": "Salesforce"}
_NARROW, _WIDE = 60, 120

CONNECT = """\
The same DAGs write to your own account as soon as the connections name it (the key is the connection's password):

  airflow connections add close_default --conn-type close --conn-password "$CLOSE_API_KEY" \\
      --conn-extra '{"timezone": "America/New_York"}'
  airflow connections add raze_default --conn-type raze --conn-password "$RAZE_API_KEY"
  airflow connections add hubspot_default --conn-type hubspot --conn-password "$HUBSPOT_TOKEN"
  airflow connections add crm_salesforce_default --conn-type crm_salesforce --conn-host "$SALESFORCE_MY_DOMAIN" \\
      --conn-extra '{"client_id": "...", "client_secret": "..."}'
  airflow connections add warehouse --conn-uri 'postgres://user:password@host/database'

Look before you write: dry_run=True on an operator makes every check, logs the calls and sends none.
"""


class Screen:
    """The terminal."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=False)
        self._console.width = max(_NARROW, min(self._console.width, _WIDE))
        self._steps = 0

    def say(self, text: str = "") -> None:
        """Print a paragraph."""
        self._console.print(Text(text))

    def say_as_is(self, text: str) -> None:
        """Print text whose lines may not be broken, such as commands."""
        self._console.print(Text(text), soft_wrap=True)

    def heading(self, text: str) -> None:
        """Print a title with a blank line above."""
        self._console.print()
        self._console.print(Text(text, style="bold"))

    def step(self, text: str, seconds: float) -> None:
        """Print one finished step."""
        self._steps += 1
        self._console.print(Text(f"{seconds:6.1f} s  {self._steps:2}. {text}"), soft_wrap=True)

    @contextmanager
    def timed(self, text: str) -> Iterator[None]:
        """Do something, then print it as one finished step."""
        started = time.monotonic()
        yield
        self.step(text, time.monotonic() - started)

    def outcomes(self, runs: Sequence[tuple[str, str, Mapping[str, Any]]]) -> None:
        """Print the outcomes of all rows, one table per CRM.

        Args:
            runs: DAG id, day and report of each writing task.
        """
        for vendor, title in _TITLES.items():
            chosen = [run for run in runs if run[2]["vendor"] == vendor]
            self.heading(f"{title}: what became of each row")
            table = _table()
            for name in ("DAG", "day"):
                table.add_column(name, no_wrap=True)
            for name in ("rows", "API calls"):
                table.add_column(name, justify="right")
            table.add_column("outcomes")
            table.add_column("task", no_wrap=True)
            for dag_id, day, report in chosen:
                outcomes = report["outcomes"]
                counted = ", ".join(f"{count} {word}" for word, count in outcomes.items())
                state = "failed" if FAILURES & outcomes.keys() else "success"
                table.add_row(dag_id, day, str(report["rows"]), str(report["calls"]), counted, state)
            self._console.print(table)
            self._console.print()
            self._rejects(report for _, _, report in chosen)

    def _rejects(self, reports: Iterable[Mapping[str, Any]]) -> None:
        """Print why rows did not land: the first row of each cause, and the number of its rows."""
        rejects = [reject for report in reports for reject in report["rejects"]]
        if not rejects:
            return
        table = _table("did not land (rows)", "why")
        counts = Counter(_cause(reject) for reject in rejects)
        first = {_cause(reject): reject for reject in reversed(rejects)}
        for cause, count in counts.items():
            table.add_row(Text(f"{first[cause]['record_id']}\n{cause} ({count})"), Text(first[cause]["reason"]))
        self._console.print(table)

    def ledger(self, acts: Sequence[Played]) -> None:
        """Print the acts of the ledger's story: what each run did, the plan for its approver, and the rows left alone.

        Args:
            acts: In order.
        """
        self.heading("The ledger: one day's deals in Close again and again; writes as Close saw them")
        table = _table()
        for name in ("run", "DAG", "outcomes"):
            table.add_column(name, no_wrap=name != "outcomes")
        for name in ("calls", "writes"):
            table.add_column(name, justify="right")
        for played in acts:
            counts = played.report.get("outcomes") or played.report.get("counts") or {}
            counted = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
            calls, writes = str(played.report.get("calls", "")), str(len(played.writes))
            table.add_row(played.act.title, played.act.dag_id, counted, calls, writes)
        self._console.print(table)
        for plan in (played.report["summary"] for played in acts if "summary" in played.report):
            self.heading("The plan, as its approver sees it")
            self._console.print(Markdown(plan))
        self._console.print()
        self._rejects(played.report for played in acts if "rejects" in played.report)

    def records(self, rows: Iterable[tuple[str, str, Any, Any, str]]) -> None:
        """Print records before and after.

        Args:
            rows: Record, field, value before, value after, and what there is to see.
        """
        table = _table("record", "field", "before", "after", "what to see")
        for record, name, before, after, remark in rows:
            table.add_row(record, name, _shown(before), _shown(after), Text(remark))
        self._console.print(table)


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1), header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _cause(reject: Mapping[str, str]) -> str:
    return f"{reject['outcome']} {reject['code']}"


def _shown(value: object) -> Text:
    if value is None:
        return Text("(empty)")
    return Text(f"{value:,}" if isinstance(value, (int, Decimal)) else str(value))
