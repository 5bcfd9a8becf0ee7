"""Describe connections of types that other providers define, and that a vendor can use as they stand.

A vendor that has such types names them in an attribute `adopted`: a function for each, which returns the connection in
the vendor's own form. A vendor without the attribute has none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias, cast

if TYPE_CHECKING:
    from airflow_provider_crm.vendors.protocol import Vendor


@dataclass(frozen=True, slots=True)
class ForeignConnection:
    """The parts of a connection as its own provider defines them; the repr shows no secret.

    Attributes:
        host: Empty if there is none.
        login: Empty if there is none.
        password: Empty if there is none.
        extra: The JSON object.
    """

    host: str
    login: str
    password: str = field(repr=False)
    extra: Mapping[str, object] = field(repr=False)


@dataclass(frozen=True, slots=True)
class AdoptedConnection:
    """The same connection in the form of the vendor's own type; the repr shows no secret.

    Attributes:
        host: As in a connection of the vendor's own type.
        password: The same; empty for none.
        extra: The same: keys of `Vendor.extra`.
        problems: Why it does not suffice, with what to do about it, one clause each.
    """

    host: str = ""
    password: str = field(default="", repr=False)
    extra: Mapping[str, str] = field(default_factory=dict, repr=False)
    problems: tuple[str, ...] = ()


Adopt: TypeAlias = Callable[[ForeignConnection], AdoptedConnection]


def adopted_types(vendor: Vendor) -> Mapping[str, Adopt]:
    """Return the connection types of other providers that a vendor can use."""
    return cast("Mapping[str, Adopt]", getattr(vendor, "adopted", {}))
