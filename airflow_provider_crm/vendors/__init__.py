"""The registry of vendors; each part of what they share is imported from its own module.

`VENDORS` has the package's own vendors and those of other distributions. A distribution names its vendor by an entry
point of the group `airflow_provider_crm.vendors`: the connection type, and an object that fits `protocol.Vendor`, such
as `acme = "acme_crm.vendor:VENDOR"`. It lists the connection type in its provider info, see `provider_info`.

A vendor that cannot be used is left out of `VENDORS`: its problem is logged once, and raised as an error by tasks and
connection tests that need it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from airflow_provider_crm import __version__

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from airflow_provider_crm.vendors.protocol import Vendor

__all__ = ["API_VERSION", "GROUP", "VENDORS", "connection_types", "distribution_of", "problem_of", "problems"]

API_VERSION = 1
"""The number of `protocol.Vendor` and of all that a vendor imports; a vendor names the one that it was written for."""

GROUP = "airflow_provider_crm.vendors"
"""The group of the entry points that name vendors of other distributions."""

_OWN = {name: f"airflow_provider_crm.vendors.{name}" for name in ("close", "raze", "hubspot")}
_OWN["crm_salesforce"] = "airflow_provider_crm.vendors.salesforce"  # Airflow's own provider has the other name

log = logging.getLogger(__name__)


class _Vendors(Mapping[str, "Vendor"]):
    """Vendors by connection type, imported when first asked for: a DAG file pays for none of them.

    The entry points of all installed distributions are read once, when a name is asked for that is none of the
    package's own: that takes 10 to 20 ms. Iterating imports the vendors of other distributions.
    """

    def __init__(self) -> None:
        self._points: dict[str, list[EntryPoint]] | None = None
        self._outside: dict[str, Vendor | str] = {}

    def __getitem__(self, name: str) -> Vendor:
        if name in _OWN:
            vendor: Vendor = import_module(_OWN[name]).VENDOR
            return vendor
        loaded = self._loaded(name)
        if loaded is None or isinstance(loaded, str):
            raise KeyError(name)
        return loaded

    def __iter__(self) -> Iterator[str]:
        yield from _OWN
        yield from (name for name in sorted(self._entry_points()) if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def problem_of(self, name: str) -> str | None:
        """Return why an installed vendor cannot be used; None if it can, or is not installed."""
        loaded = None if name in _OWN else self._loaded(name)
        return loaded if isinstance(loaded, str) else None

    def problems(self) -> dict[str, str]:
        """Return why installed vendors cannot be used, by connection type."""
        found = {name: self._loaded(name) for name in sorted(self._entry_points())}
        return {name: loaded for name, loaded in found.items() if isinstance(loaded, str)}

    def distribution_of(self, name: str) -> str | None:
        """Return the distribution of an installed vendor and its version; None for one of the package's own."""
        points = self._entry_points().get(name)
        if not points:
            return None
        (point, *_) = points
        return _distribution(point) if point.dist is None else f"{point.dist.name} {point.dist.version}"

    def _loaded(self, name: str) -> Vendor | str | None:
        """Return a vendor of another distribution, or its problem, or None if no distribution has it."""
        if name in self._outside:
            return self._outside[name]
        points = self._entry_points().get(name)
        if points is None:
            return None
        loaded = _loaded(name, points)
        first = self._outside.setdefault(name, loaded)
        if first is loaded and isinstance(loaded, str):  # another thread may have been first
            log.error("%s", loaded)
        return first

    def _entry_points(self) -> dict[str, list[EntryPoint]]:
        """Return the entry points of other distributions by connection type."""
        if self._points is None:
            from importlib.metadata import entry_points

            found: dict[str, list[EntryPoint]] = {}
            for point in entry_points(group=GROUP):
                if point.name in _OWN:
                    log.warning("%s is ignored: the package has this connection type itself.", _described(point))
                else:
                    found.setdefault(point.name, []).append(point)
            self._points = found
        return self._points


def _loaded(name: str, points: list[EntryPoint]) -> Vendor | str:
    """Return the vendor that an entry point names, or the reason why it cannot be used, with what to do about it."""
    point = points[0]
    if len(points) > 1:
        names = " and ".join(sorted(_distribution(one) for one in points))
        return f"The distributions {names} have a vendor for connections of type {name!r} each: uninstall all but one."
    try:
        vendor: Vendor = point.load()
        return _problem(point, vendor) or vendor
    except Exception as err:  # noqa: BLE001 - code of others may raise anything, and must not stop the other vendors
        return (
            f"{_described(point)} cannot be loaded ({type(err).__name__}: {err}). Install a version of "
            f"{_distribution(point)} that fits airflow-provider-crm {__version__}, or uninstall it."
        )


def _problem(point: EntryPoint, vendor: Vendor) -> str | None:
    """Return what a vendor lacks, with what to do about it; None if it can be used."""
    version = getattr(vendor, "api_version", None)
    if version != API_VERSION:
        return _misfit(point, version)
    name = getattr(vendor, "name", None)
    if name != point.name:
        return f"{_described(point)} names itself {name!r}: its name and its entry point's name have to be the same."
    if isinstance(vendor, type):
        return f"{_described(point)} is a class: its entry point has to name an object of it."
    wrong = _wrong_members(vendor)
    if not wrong:
        return None
    distribution = _distribution(point)
    return f"{_described(point)} has no valid {', '.join(wrong)}. Upgrade {distribution}, or uninstall it."


def _wrong_members(vendor: Vendor) -> list[str]:
    """Return the members that a vendor lacks, or that would break the discovery of providers, or a page."""
    from airflow_provider_crm.values.opportunity import Field
    from airflow_provider_crm.vendors.credentials import ExtraField
    from airflow_provider_crm.vendors.protocol import Vendor as Members

    names = [*Members.__annotations__, *(name for name in vars(Members) if not name.startswith("_"))]
    missing = [name for name in names if not hasattr(vendor, name)]
    if missing:
        return missing
    texts = ("display_name", "origin", "documentation", "id_key", "api_key_label")
    wrong = [name for name in texts if not isinstance(getattr(vendor, name), str)]
    if not all(isinstance(field, ExtraField) for field in dict(vendor.extra).values()):
        wrong.append("extra")
    if not all(isinstance(field, Field) for field in vendor.documented_fields):
        wrong.append("documented_fields")
    return wrong


def _misfit(point: EntryPoint, version: object) -> str:
    """Return the problem of a vendor that was written for another API version, or that names none."""
    here = f"airflow-provider-crm {__version__} has API version {API_VERSION}"
    if not isinstance(version, int):
        return (
            f"{_described(point)} has no api_version, and {here}. Install a version of {_distribution(point)} "
            f"whose vendor says api_version = {API_VERSION}, or uninstall it."
        )
    upgraded = _distribution(point) if version < API_VERSION else "airflow-provider-crm"
    return f"{_described(point)} was written for API version {version}, and {here}. Upgrade {upgraded}."


def _described(point: EntryPoint) -> str:
    version = "" if point.dist is None else f" {point.dist.version}"
    return f"The vendor {point.name!r} ({point.value}) of the distribution {_distribution(point)}{version}"


def _distribution(point: EntryPoint) -> str:
    return "(unknown)" if point.dist is None else point.dist.name


_VENDORS = _Vendors()

VENDORS: Mapping[str, Vendor] = _VENDORS
"""The vendors that can be used, by connection type."""


def problem_of(name: str) -> str | None:
    """Return why the vendor of a connection type cannot be used though it is installed; None if that is not so.

    Args:
        name: The connection type.
    """
    return _VENDORS.problem_of(name)


def problems() -> Mapping[str, str]:
    """Return why installed vendors cannot be used, by connection type; this imports all of them."""
    return _VENDORS.problems()


def distribution_of(name: str) -> str | None:
    """Return the distribution of an installed vendor and its version; None for one of the package's own.

    Args:
        name: The connection type.
    """
    return _VENDORS.distribution_of(name)


def connection_types() -> str:
    """Return the connection types of all vendors that can be used, for messages: `close, acme or raze`."""
    *others, last = VENDORS
    return f"{', '.join(others)} or {last}"
