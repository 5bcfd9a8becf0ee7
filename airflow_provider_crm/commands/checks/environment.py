"""Check the installed versions against what the package declares."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, distribution, version

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from airflow_provider_crm import __version__
from airflow_provider_crm.commands.checks.result import CheckResult, ok, problem, warning

_NAME = "airflow-provider-crm"
_SHOWN = ("apache-airflow", "pandas", "SQLAlchemy")
_PARQUET = "parquet"
_EXTRAS = (_PARQUET, "openlineage", "postgres")
_NO_PARQUET = "pyarrow is not installed: Parquet files, Arrow tables and frames from task to task cannot be used."


def environment_checks() -> Iterator[CheckResult]:
    """Check Python, Airflow and all that the package requires."""
    yield _python()
    yield _requirements()
    yield from _optional_ones()


def _python() -> CheckResult:
    python, supported = platform.python_version(), distribution(_NAME).metadata["Requires-Python"] or ""
    shown = ", ".join(f"{name} {_installed(name) or '(none)'}" for name in _SHOWN)
    sentence = f"airflow-provider-crm {__version__} with Python {python}, {shown}"
    if SpecifierSet(supported).contains(python, prereleases=True):
        return ok("versions", f"{sentence}.")
    return problem(
        "versions", f"{sentence}; it supports Python {supported}.", f"Install it with a Python of {supported}."
    )


def _requirements() -> CheckResult:
    """Compare what is required in any case."""
    required = [requirement for requirement in _declared() if _applies(requirement, "")]
    wrong = dict(filter(None, map(_mismatch, required)))
    if not wrong:
        return ok("requirements", f"All {len(required)} required packages are installed in versions that fit.")
    return problem("requirements", *_described(wrong))


def _optional_ones() -> Iterator[CheckResult]:
    """Compare what only some features need, where it is installed; say what cannot be used without pyarrow."""
    for extra in _EXTRAS:
        of_extra = [one for one in _declared() if _applies(one, extra) and not _applies(one, "")]
        present = [one for one in of_extra if _installed(one.name)]
        if extra == _PARQUET and of_extra and not present:
            yield warning("pyarrow", _NO_PARQUET, f"If you need them: pip install '{_NAME}[{extra}]'.")
        if wrong := dict(filter(None, map(_mismatch, present))):
            yield problem("requirements", *_described(wrong))


def _described(wrong: Mapping[str, str]) -> tuple[str, str]:
    """Return the sentence about packages that do not fit, and the cure."""
    sentence = f"Not as airflow-provider-crm needs it: {'; '.join(wrong.values())}."
    return sentence, f"pip install {' '.join(map(repr, wrong))}, with Airflow's constraints for your version of it."


def _declared() -> list[Requirement]:
    return [Requirement(text) for text in distribution(_NAME).requires or ()]


def _applies(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def _mismatch(requirement: Requirement) -> tuple[str, str] | None:
    """Return what to install instead, and what is wrong; None if the installed version fits."""
    installed, needed = _installed(requirement.name), f"{requirement.name}{requirement.specifier}"
    if installed is None:
        return needed, f"{requirement.name} is not installed"
    if requirement.specifier.contains(installed, prereleases=True):
        return None
    return needed, f"{requirement.name} is {installed}, and {requirement.specifier} is needed"


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
