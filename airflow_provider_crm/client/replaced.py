"""Find out whether the methods that send calls are those of the libraries: tests and tracers put others in place."""

from __future__ import annotations

import http.client
from types import FunctionType

import requests
import urllib3.connection
import urllib3.connectionpool
from requests.adapters import HTTPAdapter

SESSION_METHODS = ("request", "get", "put", "post", "patch")
"""Methods of a session through which no call of this package goes."""

_FILES = frozenset(
    module.__file__
    for module in (requests.sessions, requests.adapters, urllib3.connection, urllib3.connectionpool, http.client)
)
_SESSIONS_FILE = requests.sessions.__file__
_LEFT_OUT = frozenset({*SESSION_METHODS, "send", "get_adapter"})


def is_replaced(method: object) -> bool:
    """Return whether a method of a session is not that of `requests`, whenever it was replaced."""
    code = getattr(getattr(method, "__func__", method), "__code__", None)
    return getattr(code, "co_filename", None) != _SESSIONS_FILE


class Unchanged:
    """The check that nothing stands in for any method that sends a session's calls; it is made again for each call.

    Args:
        session: The session.
    """

    def __init__(self, session: requests.Session) -> None:
        self._session = session
        self._known: tuple[object, ...] = ()

    def __bool__(self) -> bool:
        kind = type(self._session)
        methods = (
            *(kind.send, kind.get_adapter, kind.request, kind.get, kind.put, kind.post, kind.patch),
            *(HTTPAdapter.send, urllib3.HTTPConnectionPool.urlopen, urllib3.HTTPConnectionPool._make_request),  # noqa: SLF001 - what tracers wrap
            *(urllib3.connection.HTTPConnection.request, http.client.HTTPConnection.getresponse),
            *(http.client.HTTPConnection.request, http.client.HTTPConnection.send),
        )
        if methods != self._known:
            if not all(map(_is_of_library, methods)):
                return False
            self._known = methods
        return _LEFT_OUT.isdisjoint(vars(self._session))


def _is_of_library(method: object) -> bool:
    return isinstance(method, FunctionType) and method.__code__.co_filename in _FILES
