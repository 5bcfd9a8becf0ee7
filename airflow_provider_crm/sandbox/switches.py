"""The switches of every API, and how a switch is set."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, make_dataclass, replace
from decimal import Decimal
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

from airflow_provider_crm.sandbox.faults import Fault

if TYPE_CHECKING:
    from typing import Self

    from airflow_provider_crm.sandbox.wire import Json


@dataclass(frozen=True, kw_only=True)
class Switches:
    """The switches that work for every API, and their defaults. By default no fault is injected.

    An API adds its own in a subclass: a frozen dataclass with a table as below, whose names begin with the API's name
    and an underscore, each with a default. A switch is a boolean, an integer, a float, a string, a `Literal` of strings
    or a `frozenset[str]`; all but the `Literal` may be None, too. A float whose name ends in `_window` is above 0, and
    only one whose name ends in `_offset` may be negative.

    | every API | effect |
    |---|---|
    | `fault_rates` | fault name (see `faults`) to probability, e.g. `{"http_503": 0.05, "reset_after": 0.01}` |
    | `fault_methods`, `fault_vendors` | the rates hold for these methods, these vendors only; None: for all |
    | `seed` | start of the random numbers; setting it or `fault_rates` starts them over, so a run repeats |
    | `slow_seconds` | how long `slow` and `late` last, in real seconds |
    | `throttle_seconds` | the wait that a forced `http_429` asks for |
    | `redirect_to` | target of the redirect faults; None: the same path on the host name `localhost` |
    | `stale_seconds` | reads answer the state of so many seconds ago, in the sandbox's time |
    | `ignored_ids` | writes to these records answer 2xx and change nothing |
    | `ignored_fields` | these fields are dropped from every write without an error |
    """

    fault_rates: Mapping[str, float] = field(default_factory=dict)
    fault_methods: frozenset[str] | None = None
    fault_vendors: frozenset[str] | None = None
    seed: int = 0
    slow_seconds: float = 0.05
    throttle_seconds: float = 1.0
    redirect_to: str | None = None
    stale_seconds: float = 0.0
    ignored_ids: frozenset[str] = frozenset()
    ignored_fields: frozenset[str] = frozenset()

    @classmethod
    def own_names(cls) -> tuple[str, ...]:
        """Return the names of the switches that a subclass declares, in order; none for this class."""
        shared = {one.name: one for one in fields(Switches)}
        return tuple(one.name for one in fields(cls) if one is not shared.get(one.name))

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """Return the switches with some of them set.

        Raises:
            ValueError: an unknown name, or a value that the switch doesn't have; the message lists the known ones.
        """
        hints = get_type_hints(type(self))
        known = [one.name for one in fields(self)]
        unknown = sorted(set(changes) - set(known))
        if unknown:
            message = f"There is no switch {', '.join(unknown)}. Known switches: {', '.join(known)}."
            raise ValueError(message)
        return replace(self, **{name: _checked(name, value, hints[name]) for name, value in changes.items()})


def combine(classes: Iterable[type[Switches]]) -> type[Switches]:
    """Return one class with the switches of all these classes, in their order; an object of it is one of each."""
    own = [one for one in dict.fromkeys(classes) if one is not Switches]
    # A dataclass lists the fields of its last parent first.
    parents = tuple(reversed(own)) or (Switches,)
    combined: type[Switches] = make_dataclass("SandboxSwitches", (), bases=parents, frozen=True, kw_only=True)
    return combined


class Panel:
    """The switches as they are set now."""

    def __init__(self, switches: type[Switches]) -> None:
        self._defaults = switches()
        self.current = self._defaults

    def set(self, changes: Mapping[str, Any]) -> None:
        """Set some switches; the others stay.

        Raises:
            ValueError: an unknown name or value; nothing is changed then.
        """
        self.current = self.current.changed(changes)

    def reset(self) -> None:
        """Put all switches back to their defaults."""
        self.current = self._defaults


def _checked(name: str, value: Json, hint: object) -> Json:
    """Turn lists into sets and decimals into floats, and refuse a value that the switch doesn't have."""
    if name == "fault_rates":
        return _rates(value)
    choices = get_args(hint)
    if get_origin(hint) is Literal:
        if type(value) is not str or value not in choices:
            message = f"{name} cannot be {value!r}; it is one of {', '.join(choices)}."
            raise ValueError(message)
        return value
    kinds = (hint,) if isinstance(hint, type) or get_origin(hint) is frozenset else choices
    if value is None and NoneType in kinds:
        return None
    if frozenset[str] in kinds:
        return _strings(name, value)
    if float in kinds:
        return _number(name, value, least=-24.0 if name.endswith("_offset") else 0.0)
    if type(value) not in kinds:
        names = " or ".join("null" if one is NoneType else one.__name__ for one in kinds)
        message = f"{name} cannot be {value!r}; write {names}."
        raise ValueError(message)
    return value


def _rates(value: Json) -> dict[str, float]:
    if isinstance(value, Mapping):
        return {Fault.parse(fault).name: _number(f"fault_rates of {fault}", rate) for fault, rate in value.items()}
    message = f"fault_rates cannot be {value!r}; write a probability by fault, such as {{'http_503': 0.1}}."
    raise ValueError(message)


def _strings(name: str, value: Json) -> frozenset[str]:
    if not isinstance(value, (list, tuple, set, frozenset)) or not all(isinstance(one, str) for one in value):
        message = f"{name} is a set of strings; write {{{str(value)!r}}}."
        raise ValueError(message)
    return frozenset(value)


def _number(name: str, value: Json, *, least: float = 0.0) -> float:
    number = float(value) if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool) else math.nan
    if not least <= number < math.inf or (number == 0 and name.endswith("_window")):
        message = f"{name} cannot be {value!r}; write a number."
        raise ValueError(message)
    return number
