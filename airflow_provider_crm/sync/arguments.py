"""Check the operators' arguments when the task runs, before its first call.

Booleans are template fields, so that `params` can set them. A template renders to text, and any text is true in Python,
so only `True` and `False` are read. Numbers and words that decide how rows are written are no templates: they are in
the Dag file, where they can be reviewed.

Over 300 lines because the checks and the arguments that they are for are read together.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, TypeAlias

from airflow_provider_crm.budget.stated import check_share
from airflow_provider_crm.exceptions import ConfigurationError
from airflow_provider_crm.guardrails.limits import Guardrails
from airflow_provider_crm.hooks.shares import daily_share_of
from airflow_provider_crm.plan.apply import ANY_DIGEST, check_conflict_rule
from airflow_provider_crm.push.record_keys import ON_MISSING
from airflow_provider_crm.push.rules import DATE_WON_DEFAULTS, LARGEST_CONCURRENCY
from airflow_provider_crm.report.rejects_file import check_rejects_path
from airflow_provider_crm.report.tolerance import Tolerance, checked_tolerance
from airflow_provider_crm.rows.rules import check_null_values
from airflow_provider_crm.vendors import connection_types

Check: TypeAlias = Callable[[str, Any], Any]
"""A function of an argument's name and value that returns the checked value, or raises `ConfigurationError`."""

_BOOLEANS = {"True": True, "true": True, "False": False, "false": False}
_LONGEST_SHOWN = 80
_DIGEST = re.compile("[0-9a-f]{64}")


def check_arguments(checks: Mapping[str, Check | None], arguments: object) -> dict[str, Any]:
    """Check every argument, and return the checked values.

    Args:
        checks: Check by name of the argument; None for one that is checked where it is used, before the first call.
        arguments: The object whose attributes are the values, after templates were rendered.

    Raises:
        ConfigurationError: With one sentence for each argument that is wrong; or two arguments contradict each other.
    """
    accepted: dict[str, Any] = {}
    problems = []
    for name, check in checks.items():
        if check is None:
            continue
        try:
            accepted[name] = check(name, getattr(arguments, name))
        except ConfigurationError as err:
            problems.append(str(err))
    if problems:
        raise ConfigurationError(" ".join(problems))
    Tolerance(accepted["max_rejected"], accepted["warn_rejected"])
    return accepted


def boolean(name: str, value: object) -> bool:
    """Return a boolean, also from the text to which a template renders it."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip() in _BOOLEANS:
        return _BOOLEANS[value.strip()]
    advice = f"True or False, or a template that renders to one of them, such as '{{{{ params.{name} }}}}'"
    raise _refused(name, value, advice)


def text(advice: str) -> Check:
    """Return the check of a text that is not empty."""

    def check(name: str, value: object) -> str:
        if not isinstance(value, str) or not value.strip():
            raise _refused(name, value, advice)
        return value

    return check


def optional_text(advice: str) -> Check:
    """Return the check of a text or None; an empty text, to which a template may render, counts as None."""

    def check(name: str, value: object) -> str | None:
        if value is None or value == "":
            return None
        if not isinstance(value, str) or value == "None":
            raise _refused(name, value, f"{advice}, or leave it out")
        return value

    return check


def given_text(advice: str) -> Check:
    """Return the check of a text or None; an empty text is refused, as a wrong template renders to it."""

    def check(name: str, value: object) -> str | None:
        if value is None:
            return None
        if not isinstance(value, str) or value.strip() in ("", "None"):
            raise _refused(name, value, f"{advice}, or leave it out")
        return value

    return check


def word(*words: str) -> Check:
    """Return the check of a word that is one of some words."""

    def check(name: str, value: object) -> str:
        if not isinstance(value, str) or value not in words:
            raise _refused(name, value, f"one of {', '.join(words)}")
        return value

    return check


def whole_number(least: int, most: int | None = None, *, instead: str = "") -> Check:
    """Return the check of a whole number within bounds.

    Args:
        least: The smallest one.
        most: The largest one; None for no bound.
        instead: What else may be written, for the sentence of the error.
    """

    def check(name: str, value: object) -> int:
        whole = int(value) if isinstance(value, Integral) and not isinstance(value, bool) else None
        if whole is None or whole < least or (most is not None and whole > most):
            bounds = f"from {least} to {most}" if most is not None else f"from {least} on"
            raise _refused(name, value, f"a whole number {bounds}{instead}")
        return whole

    return check


def optional_whole_number(least: int) -> Check:
    """Return the check of a whole number from `least` on, or None."""
    given = whole_number(least, instead=", or None")

    def check(name: str, value: object) -> int | None:
        return None if value is None else given(name, value)

    return check


def seconds(name: str, value: object) -> float:
    """Return a time span in seconds, from 0 on."""
    span = float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan
    if not 0 <= span < math.inf:
        raise _refused(name, value, "seconds as a number from 0 on, such as 60")
    return span


def optional_tolerance(name: str, value: object) -> float | None:
    """Return a count of rows, or a fraction below 1, or None."""
    return None if value is None else checked_tolerance(name, value)


def text_or_mapping(name: str, value: object) -> object:
    """Return one word, or words by column; `ColumnRules` checks the words."""
    if not isinstance(value, (str, Mapping)):
        raise _refused(name, value, "one of skip, clear, error; or one of them by column")
    return value


def null_values(name: str, value: object) -> Collection[str]:  # noqa: ARG001 - the column rules name it
    """Return the texts that are missing values."""
    return check_null_values(value)


def mapping(name: str, value: object) -> Mapping[str, str]:
    """Return field by column; None is a mapping without columns, which `ColumnRules` refuses where rows are read."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise _refused(name, value, "which column goes to which field, such as {'arr': 'deal_value'}")
    return value


def guardrails(name: str, value: object) -> Guardrails | None:
    """Return the guardrails, or None."""
    if value is None:
        return None
    if not isinstance(value, Guardrails):
        raise _refused(name, value, "limits such as Guardrails(max_rows=5_000), or leave it out")
    value.check()
    return value


def rejects_path(name: str, value: object) -> str | None:
    """Return a path as text, also from a path object; None if there is no path."""
    if value is None or value == "":
        return None
    is_path = isinstance(value, (str, os.PathLike)) or callable(getattr(value, "open", None))
    if not is_path:
        raise _refused(name, value, "a path as text, such as 's3://bucket/rejects/{{ ds }}.csv', or leave it out")
    check_rejects_path(str(value))
    return str(value)


def query_parameters(name: str, value: object) -> object:
    """Return the values of placeholders, by position or by name, as the driver expects them; or None."""
    if value is None or (isinstance(value, (Mapping, Sequence)) and not isinstance(value, (str, bytes))):
        return value
    raise _refused(name, value, "a list of values, or a dict of values by name, as the database's driver expects them")


def daily_share(name: str, value: object) -> float:  # noqa: ARG001 - the share names it, or its option
    """Return the part of a daily limit; for None the one of the configuration."""
    return daily_share_of(value)


def _column_name(name: str, value: object) -> str:
    """Return the name of a column; an empty one is refused where rows are read."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _refused(name, value, "the name of the column with the record ids")
    return value


def _date_won_default(name: str, value: object) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str) or value not in DATE_WON_DEFAULTS:
        raise _refused(name, value, "'server' or 'as_of', or leave it out")
    return value


def _digest(name: str, value: object) -> str | None:
    if value is None or (isinstance(value, str) and (value == ANY_DIGEST or _DIGEST.fullmatch(value))):
        return value
    advice = f"the digest of the plan that was approved, such as plan.output['digest'], or {ANY_DIGEST!r}"
    raise _refused(name, value, advice)


def _crm_conn_id(name: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _refused(name, value, f"the id of a connection of type {connection_types()}")
    return value


def _conflict_rule(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise _refused(name, value, "one of fail, skip, overwrite")
    check_conflict_rule(value)
    return value


def _refused(name: str, value: object, advice: str) -> ConfigurationError:
    """Return the error that shows the value, shortened, and says what to write instead."""
    shown = repr(value)
    shown = shown if len(shown) <= _LONGEST_SHOWN else f"{shown[:_LONGEST_SHOWN]}…"
    return ConfigurationError(f"{name} is {shown}; write {advice}.")


WRITING: Mapping[str, Check | None] = {
    "crm_conn_id": _crm_conn_id,
    "id_field": given_text("the name of the field whose values id_column has, such as 'warehouse_deal_key'"),
    "on_missing": word(*ON_MISSING),
    "timezone": optional_text("an IANA zone such as 'America/New_York'"),
    "nulls": text_or_mapping,
    "null_values": null_values,
    "rounding": text("a way to round, such as 'half-even'"),
    "on_duplicate": text("'error' or 'last'"),
    "as_of": optional_text("the name of the column with the data time"),
    "max_rejected": checked_tolerance,
    "warn_rejected": optional_tolerance,
    "verify_echo": boolean,
    "concurrency": whole_number(1, LARGEST_CONCURRENCY),
    "rejects_path": rejects_path,
    "dry_run": boolean,
    "date_won_default": _date_won_default,
    "defer_after": seconds,
    "changes_only": boolean,
    "retry_rejected": boolean,
    "ledger_conn_id": given_text("the id of a connection to PostgreSQL or SQLite, None to go without a ledger"),
    "guardrails": guardrails,
    "capture_before": boolean,
    "upload_after": optional_whole_number(0),
    "budget_share": check_share,
    "backfill_budget_share": check_share,
    "daily_share": daily_share,
    "id_column": _column_name,
    "fields": mapping,
}
"""The arguments that all operators have."""

DATA: Mapping[str, Check | None] = {"data": None}
"""The argument of rows, whose types `rows.sources` checks."""

QUERY: Mapping[str, Check | None] = {
    "sql": text("one query as text"),
    "sql_conn_id": text("the id of a connection to a database"),
    "parameters": query_parameters,
    "chunk_rows": whole_number(1),
    "shard": None,
    "shards": None,
}
"""The arguments of a query; `Shard` checks `shard` and `shards` together."""

APPLYING: Mapping[str, Check | None] = {
    "plan": given_text("the id of a plan, such as plan.output['plan_id']"),
    "digest": _digest,
    "on_conflict": _conflict_rule,
}
"""The arguments of a plan that is applied."""

REVERTING: Mapping[str, Check | None] = {
    "run_key": text("the key of the run to take back, 'dag/task/run', as its report has it"),
    "plan_only": boolean,
    "on_conflict": _conflict_rule,
}
"""The arguments of an undo."""
