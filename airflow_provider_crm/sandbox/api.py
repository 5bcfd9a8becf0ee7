"""Describe a vendor's API, so that the sandbox can serve it beside others.

A distribution of its own offers one by an entry point of the group `airflow_provider_crm.sandbox_apis` that names its
`SandboxApi`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, get_type_hints

from airflow_provider_crm.sandbox.switches import Switches

if TYPE_CHECKING:
    from airflow_provider_crm.sandbox.clock import SandboxClock
    from airflow_provider_crm.sandbox.faults import Fault
    from airflow_provider_crm.sandbox.records import Records
    from airflow_provider_crm.sandbox.wire import Json, Request, Response

SwitchesT = TypeVar("SwitchesT", bound=Switches)
CONTROL_ROOT = "sandbox"
_NAME = re.compile(r"[a-z][a-z0-9_]*")


class SandboxAccount(Protocol):
    """One customer of a vendor as Python sees it: its records, besides whatever else it has."""

    @property
    def records(self) -> Records:
        """Return the opportunities, as they are stored."""

    def add_opportunity(self, id: str | None = None, **fields: Json) -> dict[str, Any]:  # noqa: A002 - the API's word
        """Add an opportunity as it stands, without any rule of the API, and return it as the API shows it.

        Args:
            id: its id, an invented one by default.
            **fields: fields of the API; others have defaults.

        Raises:
            ValueError: a field that can't be stored, such as a misspelt one.
        """

    def opportunity(self, id: str) -> dict[str, Any]:  # noqa: A002 - the API's word
        """Return the record as the API shows it, in full.

        Raises:
            KeyError: there is no such opportunity.
        """


class ServedApi(Protocol):
    """A vendor's API in a sandbox: it answers calls, and writes injected errors in the vendor's own form.

    A sandbox holds its lock while it calls `handle` or `fault`, so calls never overlap.
    """

    @property
    def account(self) -> SandboxAccount:
        """Return the account that the API serves: `sandbox.account(name)`."""

    def connection(self, url: str, *, timezone: str) -> Mapping[str, Json]:
        """Return the Airflow connection that leads to the account, in the JSON form of `AIRFLOW_CONN_...`.

        Args:
            url: the base URL of the sandbox, without a slash at its end.
            timezone: the IANA zone for the connection's extra.
        """

    def handle(self, request: Request) -> Response:
        """Answer one call, with the changes that it made. Raises nothing: a refusal is an answer."""

    def fault(self, fault: Fault, request: Request) -> Response:
        """Answer with the injected status `fault.status`, in the shape that the vendor would use."""


@dataclass(frozen=True, kw_only=True)
class ApiContext(Generic[SwitchesT]):
    """The parts of a sandbox that an API works with.

    Attributes:
        clock: the time of every stamp, expiry and limit; a call has its own in `Request.at`.
        lock: held during each call; an account takes it (it may be taken twice) when Python changes or reads it.
        read_switches: returns the switches as they are set now; `switches` calls it.
    """

    clock: SandboxClock
    lock: AbstractContextManager[Any]
    read_switches: Callable[[], SwitchesT]

    @property
    def switches(self) -> SwitchesT:
        """Return the switches as they are set now: those of every API and the API's own."""
        return self.read_switches()


def _nothing(_number: int) -> Mapping[str, Json]:
    return {}


@dataclass(frozen=True, kw_only=True)
class SandboxApi(Generic[SwitchesT]):
    """A vendor's API as a sandbox can serve it.

    Attributes:
        name: the vendor's name in lower case, which is the connection's type, too: `acme`.
        display_name: the vendor's name for people.
        roots: the first path segments of all calls to the API; no other API may have one of them.
        base_path: the path below which the records are, for people: `/acme/v1/`.
        switches: the class of its switches; `Switches` if it has none of its own.
        build: makes the API with an empty account, one for each sandbox.
        example: returns the fields of the n-th example record, counted from 1, for `add_opportunity`.
    """

    name: str
    display_name: str
    roots: tuple[str, ...]
    base_path: str
    switches: type[SwitchesT]
    build: Callable[[ApiContext[SwitchesT]], ServedApi]
    example: Callable[[int], Mapping[str, Json]] = _nothing

    def __post_init__(self) -> None:
        """Refuse a description that can't be served.

        Raises:
            ValueError: the message says which part is wrong.
        """
        if not _NAME.fullmatch(self.name):
            message = f"An API cannot be named {self.name!r}; write lower-case letters, digits and underscores."
            raise ValueError(message)
        wrong = [root for root in self.roots if not root or "/" in root or root == CONTROL_ROOT]
        if isinstance(self.roots, str) or not self.roots or wrong:
            message = f"{self.name}: the roots cannot be {self.roots!r}; write first path segments, not {CONTROL_ROOT}."
            raise ValueError(message)
        foreign = [name for name in self.switches.own_names() if not name.startswith(f"{self.name}_")]
        if foreign:
            message = f"{self.name}: begin the names of its switches with {self.name}_, not {', '.join(foreign)}."
            raise ValueError(message)
        if "__slots__" in vars(self.switches):
            message = f"{self.name}: {self.switches.__name__} cannot have slots, since a sandbox adds up such classes."
            raise ValueError(message)
        get_type_hints(self.switches)


def refuse_clashes(apis: Iterable[SandboxApi[Any]]) -> None:
    """Check that APIs can be served beside each other.

    Raises:
        ValueError: two of them have one name, root or switch.
    """
    owners: dict[tuple[str, str], str] = {}
    for api in apis:
        claims = [("name", api.name), *(("root", one) for one in api.roots)]
        claims += [("switch", one) for one in api.switches.own_names()]
        for claim in dict.fromkeys(claims):
            if claim in owners:
                kind, value = claim
                message = f"The APIs {owners[claim]} and {api.name} have the same {kind} {value!r}; serve one of them."
                raise ValueError(message)
            owners[claim] = api.name
