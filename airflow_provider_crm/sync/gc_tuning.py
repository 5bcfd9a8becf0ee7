"""Python's garbage collector while many rows are gone through."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_MADE_BETWEEN_LOOKS = 100_000  # objects; Python's own 700 are made by some hundred rows


@contextmanager
def freeze_imports() -> Iterator[None]:
    """Keep the collector from looking through all that was imported, each time that some thousand rows have passed.

    An Airflow process holds hundreds of thousands of such objects, which live until it ends; to look through them takes
    a third of a run over rows of which nothing changed. What is made in the meantime is collected as ever, but less
    often: rows hold no circles, so that they are gone before the collector comes.
    """
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(_MADE_BETWEEN_LOOKS, *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()
