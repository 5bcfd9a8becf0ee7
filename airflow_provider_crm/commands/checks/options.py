"""Check the options in `[crm]`: their names, and the types of their values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from airflow.sdk import conf

from airflow_provider_crm.commands.checks.result import CheckResult, ok, problem, warning
from airflow_provider_crm.exceptions import CrmError
from airflow_provider_crm.hooks.ledger import field_hashes, hashed_fields
from airflow_provider_crm.hooks.shares import daily_share_of
from airflow_provider_crm.provider_info import get_provider_info

_SECTION = "crm"
_BOOLEANS = frozenset({"t", "true", "1", "f", "false", "0"})
_PARSERS: Mapping[str, Callable[[str], object]] = {"float": float, "integer": int}


def option_checks() -> Iterator[CheckResult]:
    """Check each option that is set."""
    known: Mapping[str, Mapping[str, Any]] = get_provider_info()["config"][_SECTION]["options"]
    found = {name: str(value) for name, value in (conf.getsection(_SECTION) or {}).items()}
    results = [_unknown(name, known) for name in found if name not in known]
    for name, option in known.items():
        results += _wrong_type(name, option, found.get(name, ""))
    if not results:
        results += _wrong_values()
    sentence = f"The options in [crm] are known, and their values can be read: {_set(found)}."
    yield from results or [ok("options", sentence)]


def _unknown(name: str, known: Mapping[str, object]) -> CheckResult:
    alike = get_close_matches(name, known, n=1)
    meant = f"Write {alike[0]} instead" if alike else f"Remove it; the options are {', '.join(known)}"
    variable = f"AIRFLOW__CRM__{name.upper()}"
    sentence = f"[crm] {name} is no option of this version and does nothing."
    return warning("options", sentence, f"{meant} (in airflow.cfg, or as the environment variable {variable}).")


def _wrong_type(name: str, option: Mapping[str, Any], text: str) -> Iterator[CheckResult]:
    kind, text = option["type"], text.strip()
    if text and not _is(kind, text):
        shown = "its value" if option.get("sensitive") else repr(text)
        yield problem("options", f"[crm] {name} is no {kind}: {shown}.", f"Write such as {name} = {option['example']}.")


def _is(kind: str, text: str) -> bool:
    if kind == "boolean":
        return text.lower() in _BOOLEANS
    try:
        _PARSERS.get(kind, str)(text)
    except ValueError:
        return False
    return True


def _wrong_values() -> Iterator[CheckResult]:
    """Check what the options mean together."""
    try:
        daily_share_of(None)
        field_hashes({})
    except CrmError as err:
        cure = "Set [crm] ledger_hash_key as that says." if hashed_fields() else "Correct the value in [crm]."
        yield problem("options", str(err), cure)


def _set(found: Mapping[str, str]) -> str:
    names = [name for name, value in found.items() if value.strip()]
    return ", ".join(sorted(names)) or "none is set"
