"""Delay signals during a transaction: an exception that a handler raises within one leaves its lock behind."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

# Airflow raises at SIGALRM (execution_timeout), Python at SIGINT, and our own `on_kill` at SIGTERM.
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)


@contextmanager
def delayed_signals() -> Iterator[None]:
    """Delay the handling of signals until the block has ended; keep the block short.

    Handlers run in the main thread only: in any other one this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: handler for number in _SIGNALS if callable(handler := signal.getsignal(number))}
    came: list[int] = []
    ended = False

    def wait(number: int, frame: FrameType | None) -> None:
        # Another signal's handler may have raised after the end of the block, before this one was replaced.
        if ended:
            handlers[signal.Signals(number)](number, frame)
        else:
            came.append(number)

    try:
        for number in handlers:
            signal.signal(number, wait)
        yield
    finally:
        ended = True
        try:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        finally:
            _send_again(came)


def _send_again(came: Sequence[int]) -> None:
    """Send each signal to this process, so that Python calls its handler; one that raises does not stop the others."""
    if came:
        try:
            signal.raise_signal(came[0])
        finally:
            _send_again(came[1:])
