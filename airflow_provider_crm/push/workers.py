"""A pool of threads whose number can change while they work."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Generic, NamedTuple, TypeVar

# Results are taken together when there are so many, or so many seconds after the first: to take them costs the same.
_TOGETHER = 32
_MOMENT = 0.01

Result = TypeVar("Result")


class _Raised(NamedTuple):
    """The exception that ended a job."""

    error: BaseException


class Workers(Generic[Result]):
    """Threads that do jobs; one more is started only when a job comes and the maximum is not reached.

    Args:
        name: Prefix of the threads' names.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._size = 1
        self._alive = 0
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._jobs: SimpleQueue[Callable[[], Result] | None] = SimpleQueue()
        self._ended: SimpleQueue[Result | _Raised] = SimpleQueue()
        self._several = threading.Event()

    def add(self, job: Callable[[], Result]) -> None:
        """Queue a job."""
        self._jobs.put(job)
        self._start(1)

    def resize(self, size: int) -> None:
        """Set the maximum number of threads; surplus threads exit after their current job."""
        with self._lock:
            self._size = size
        self._start(self._jobs.qsize())

    def _start(self, most: int) -> None:
        """Start threads, one for each job."""
        with self._lock:
            new = min(most, self._size - self._alive)
            self._alive += max(new, 0)
        for _ in range(new):
            thread = threading.Thread(target=self._run, name=f"{self._name}_{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def ended(self) -> list[Result]:
        """Return the results of the jobs that have ended since, waiting for the first, and a moment for others.

        Raises:
            BaseException: A job raised it.
        """
        self._several.clear()
        first = self._ended.get()
        if not self._enough():
            self._several.wait(_MOMENT)
        ended = [first, *self._drained()]
        results = [one for one in ended if not isinstance(one, _Raised)]
        for one in ended:
            if isinstance(one, _Raised):
                for result in results:
                    self._ended.put(result)  # they are still there when it is closed
                raise one.error
        return results

    def close(self, *, wait: bool = True) -> list[Result]:
        """End all threads, each after its current job; queued jobs are dropped.

        Args:
            wait: Whether to return only when they have ended.

        Returns:
            The results that `ended` has not returned.
        """
        try:
            while True:
                self._jobs.get_nowait()
        except Empty:
            for _ in self._threads:
                self._jobs.put(None)
        for thread in self._threads if wait else ():
            thread.join()
        return [one for one in self._drained() if not isinstance(one, _Raised)]

    def _drained(self) -> list[Result | _Raised]:
        """Take the results that are there by now."""
        ended = []
        with suppress(Empty):
            while True:
                ended.append(self._ended.get_nowait())
        return ended

    def _run(self) -> None:
        over = False
        while not over and (job := self._jobs.get()) is not None:
            try:
                ended: Result | _Raised = job()
            except BaseException as err:  # noqa: BLE001 - raised again where the results are taken
                ended = _Raised(err)
            over = self._superfluous()
            self._ended.put(ended)
            if self._enough():
                self._several.set()

    def _enough(self) -> bool:
        """Return whether the results are worth taking: there are several, or a thread may run out of jobs."""
        return self._jobs.empty() or self._ended.qsize() >= _TOGETHER

    def _superfluous(self) -> bool:
        """Return whether there is one thread too many; if so, this one no longer counts."""
        with self._lock:
            if self._alive <= self._size:
                return False
            self._alive -= 1
            return True
