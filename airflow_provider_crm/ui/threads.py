"""Make pages in a few threads of their own, so that a slow ledger blocks none of Airflow's API.

FastAPI runs a route that may block in a pool that the whole API server shares, also with heartbeats of tasks.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from starlette.responses import Response

from airflow_provider_crm.exceptions import LedgerUnavailableError
from airflow_provider_crm.queries.database import CONNECTIONS

THREADS = CONNECTIONS  # each page needs one
SECONDS = 15.0
"""Maximum time that a request waits for its page, including the wait for a thread."""

_T = TypeVar("_T")
_END = object()
_BUSY = (
    "The pages of the CRM provider are busy: the ledger's database answers slowly, or not at all. Airflow itself is "
    "not affected. Try again in a moment."
)


class PageThreads:
    """A bounded number of threads for jobs that may block.

    Args:
        threads: Number of threads.
        seconds: Maximum time that a request waits for an answer.
    """

    def __init__(self, *, threads: int = THREADS, seconds: float = SECONDS) -> None:
        self._executor = ThreadPoolExecutor(threads, "crm-page")
        self._seconds = seconds

    async def run(self, job: Callable[[], _T]) -> _T:
        """Return what the job returns.

        Raises:
            LedgerUnavailableError: No thread was free in time, or the job did not end in time.
        """
        future = self._executor.submit(contextvars.copy_context().run, job)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), self._seconds)
        except TimeoutError:
            raise LedgerUnavailableError(_BUSY) from None

    async def iterate(self, items: Iterator[str]) -> AsyncIterator[str]:
        """Yield the items, each of them made in one of the threads."""
        while (item := await self.run(lambda: next(items, _END))) is not _END:
            yield str(item)


def in_page_thread(route: Callable[..., Response]) -> Callable[..., Awaitable[Response]]:
    """Run a route in the threads of the pages; it has to have an argument `pages`."""

    @functools.wraps(route)
    async def answer(**arguments: object) -> Response:
        threads: PageThreads = arguments["pages"].pages.threads  # type: ignore[attr-defined]  # a PageMaker
        return await threads.run(functools.partial(route, **arguments))

    # FastAPI reads the arguments from the signature; their names are known in the module of the route only.
    answer.__signature__ = inspect.signature(route, eval_str=True)  # type: ignore[attr-defined]
    return answer
