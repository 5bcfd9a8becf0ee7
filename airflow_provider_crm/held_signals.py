"""Signals that wait: an exception that a handler raises in the midst of a transaction leaves its lock behind."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# Airflow raises at SIGALRM (execution_timeout), Python at SIGINT, and our own `on_kill` at SIGTERM.
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)


@contextmanager
def held_signals() -> Iterator[None]:
    """Let signals that come within the block be handled when it has ended; keep it short.

    Handlers run in the main thread only: in any other one this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: handler for number in _SIGNALS if callable(handler := signal.getsignal(number))}
    came: list[int] = []
    try:
        for number in handlers:
            signal.signal(number, lambda number, _: came.append(number))
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for late in came:
            handlers[signal.Signals(late)](late, None)
