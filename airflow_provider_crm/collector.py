"""Python's garbage collector while many rows are gone through."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def imports_at_rest() -> Iterator[None]:
    """Keep the collector from looking through all that was imported, each time that some thousand rows have passed.

    An Airflow process holds hundreds of thousands of such objects, which live until it ends; to look through them takes
    a third of a run over rows of which nothing changed. What is made in the meantime is collected as ever.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
