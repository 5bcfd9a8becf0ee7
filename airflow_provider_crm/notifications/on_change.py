"""A callback that notifies people when the state of a sync changes, and not after every run."""

from __future__ import annotations

import copy
import datetime as dt
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from airflow_provider_crm.exceptions import CrmError
from airflow_provider_crm.hooks.ledger import DEFAULT_LEDGER, ledger_database
from airflow_provider_crm.notifications.failure_text import failure_text, recovered_text, run_address, warning_text
from airflow_provider_crm.notifications.sync_states import SyncChange, SyncState

if TYPE_CHECKING:
    from airflow_provider_crm.notifications.earlier_states import EarlierState

log = logging.getLogger(__name__)

_TEXTS = {SyncState.OK: recovered_text, SyncState.WARNING: warning_text, SyncState.FAILED: failure_text}
_UNKNOWN = "It is not known whether this is new, as there is no ledger: it is sent after each such run."


def on_change(*, notifiers: Sequence[Callable[[Any], object]]) -> StateCallback:
    """Return a callback that calls notifiers when a sync fails, warns or recovers, once for each change.

    Give the same callback to a task as `on_success_callback` and as `on_failure_callback`:

    ```python
    changes = on_change(notifiers=[SlackWebhookNotifier(text="{{ crm_change.mrkdwn }}")])
    SqlToOpportunityOperator(..., on_success_callback=changes, on_failure_callback=changes)
    ```

    Templates of the notifiers have the change as `crm_change`, see `SyncChange`.

    Args:
        notifiers: Notifiers of Airflow, or functions of the context. All of them are called at each change, also where
            another one fails.
    """
    return StateCallback(tuple(notifiers))


class StateCallback:
    """The callback that `on_change` returns.

    Args:
        notifiers: Called with the context at each change.
    """

    def __init__(self, notifiers: tuple[Callable[[Any], object], ...]) -> None:
        self._notifiers = notifiers

    def __call__(self, context: Mapping[str, Any]) -> None:
        """Compare the state of the task that ended with the one before, and notify if it changed.

        Args:
            context: Airflow's context of a task that succeeded, or failed for good.
        """
        sync, state = _sync_of(context), _state_of(context)
        try:
            earlier = _earlier(context)
        except CrmError as err:
            log.warning("The ledger cannot be read, so each failure and each warning is sent: %s", err)
            earlier = None
        if earlier is None:
            if state is not SyncState.OK:
                self._send(context, sync, state, None, f"\n{_UNKNOWN}")
        elif earlier.superseded:
            log.info("%s was run for older data, which says nothing of its present state.", sync)
        elif state is not (earlier.state or SyncState.OK):
            self._send(context, sync, state, earlier.state, "")

    def _send(
        self, context: Mapping[str, Any], sync: str, state: SyncState, before: SyncState | None, note: str
    ) -> None:
        text = f"{_TEXTS[state](context)}{note}"
        change = SyncChange(sync=sync, state=state, before=before, text=text, page=run_address(context))
        log.info("%s; it was %s before.", change.title, before or "not known")
        errors = []
        for notifier in self._notifiers:
            try:
                # A notifier renders its templates in place, and a process may call it for several runs.
                copy.copy(notifier)({**context, "crm_change": change})
            except Exception as err:  # noqa: BLE001 - the others are to be called, and it is raised below
                errors.append(err)
        if errors:
            raise ExceptionGroup(f"{sync}: not every notifier could be called", errors)


def _earlier(context: Mapping[str, Any]) -> EarlierState | None:
    """Return the state before the run, as the ledger of the task has it; None if it has no ledger."""
    from airflow_provider_crm.notifications.earlier_states import RunOfSync, earlier_state
    from airflow_provider_crm.report.tolerance import Tolerance
    from airflow_provider_crm.sync.run_identity import data_time_of_run, run_key

    database = ledger_database(_argument(context, "ledger_conn_id", DEFAULT_LEDGER))
    if database is None:
        return None
    ti = context["ti"]
    retries = getattr(context.get("task"), "retries", 0) or 0
    run = RunOfSync(
        run_key=run_key(context),  # type: ignore[arg-type]  # a callback has Airflow's context
        run_id=ti.run_id,
        as_of=data_time_of_run(context, dt.datetime.now(dt.UTC)).as_of,  # type: ignore[arg-type]
        tries_before=max(getattr(ti, "max_tries", 0) - retries, 0),
        tolerance=Tolerance(_argument(context, "max_rejected", 0)),
    )
    with closing(database):
        return earlier_state(database, run)


def _sync_of(context: Mapping[str, Any]) -> str:
    """Return the name of the sync: Dag, task and map index, and the connection."""
    ti = context["ti"]
    index = f"[{ti.map_index}]" if ti.map_index is not None and ti.map_index >= 0 else ""
    connection = _argument(context, "crm_conn_id", None)
    return f"{ti.dag_id}/{ti.task_id}{index}" + (f" on {connection}" if connection else "")


def _argument(context: Mapping[str, Any], name: str, default: object) -> Any:  # noqa: ANN401 - as the operator has it
    """Return an argument of the task; a task that is mapped by Airflow keeps them apart."""
    task = context.get("task") or getattr(context["ti"], "task", None)
    partial = getattr(task, "partial_kwargs", {})
    return partial[name] if name in partial else getattr(task, name, default)


def _state_of(context: Mapping[str, Any]) -> SyncState:
    """Return the state of a sync after the run."""
    if context.get("exception") is not None or getattr(context["ti"], "state", None) != "success":
        return SyncState.FAILED
    report = context["ti"].xcom_pull(key="return_value")
    warned = isinstance(report, Mapping) and report.get("warnings")
    return SyncState.WARNING if warned else SyncState.OK
