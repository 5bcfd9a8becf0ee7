"""How many rows are written at once: found while the run goes, between one and a largest number.

The right number of threads is the latency of the vendor times the rate that its budget, its server and this process
bear. None of the four is known, and all of them change, so `Concurrency` tries: more threads stay if they bring more
rows per second, fewer stay if they cost none. `Workers` are the threads.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from airflow_provider_crm.exceptions import CrmError

FIRST_SIZE = 16
# Rows per second that a process writes at most, more or less: to begin with there are no more threads than that needs.
_FIRST_RATE = 2_000
_SETTLED_ROUNDS = 2
_SHORTEST_ROUND = 0.1
_FEWEST_ROWS = 8  # the mean of fewer says little
_SHORTEST_PACED_ROUND = 5.0
_REST = 10.0
# Parts of the threads' time that they wait for the budget: below the first they are all needed, above the second too
# many; with the one between, the budget is used in full although latencies vary.
_SCARCE, _ENOUGH, _PLENTY = 0.1, 0.15, 0.3
_BUSY = 0.75
_CROWDED = 2.0
_GAIN = 0.15
_LOSS = 0.9
_SLOWER = 0.75

# Results are taken together when there are so many, or so many seconds after the first: to take them costs the same.
_TOGETHER = 32
_MOMENT = 0.01

Job = TypeVar("Job")
Result = TypeVar("Result")


class Written(NamedTuple):
    """How long one row took.

    Attributes:
        at: When it ended, in monotonic seconds.
        seconds: How long a thread had it.
        waited: How many of these it waited for the budget.
    """

    at: float
    seconds: float
    waited: float


class _Tried(NamedTuple):
    """A number of threads, and the rows per second that it brought."""

    size: int
    rate: float


class Concurrency:
    """Finds the number of threads; not safe for threads itself, and never asks a clock.

    The first row goes alone. How long it takes says with how many threads to begin; they are doubled with each round,
    as long as rows take less than twice what they took at first, when the vendor had nothing else to do. A round is a
    row of each thread, more or less.

    From then on it looks at longer rounds; rows that had begun before the number was changed do not count. After each,
    one of these is done:

    - Threads that waited for the budget are not needed: so many are taken away that the others just use it.
    - Threads that waited for rows tell nothing: the source is slower than the vendor.
    - Twice as many are tried, and kept if they bring some of what they could: twice as many threads at least
      15% more rows per second. Otherwise the vendor, or this process, is at its limit, and only answers got slower.
    - Where more bring nothing, a third fewer are tried, and kept as long as that costs nothing: rows that wait for the
      vendor's server or for this process need no thread.
    - The same when the rows per second fall by a quarter: a server that is overloaded gets relief. If it does cost, the
      vendor is only farther away, and more are tried.

    Args:
        largest: Threads at most.

    Attributes:
        size: Threads that there may be now.
    """

    def __init__(self, largest: int) -> None:
        self.size = 1
        self._largest = largest
        self._starting = True
        self._unhurried: float | None = None
        self._before: _Tried | None = None
        self._settled: float | None = None
        self._falling = False
        self._needed = 1
        self._rest_until = -math.inf
        self._old_rows = 0
        self._began: float | None = None
        self._rows, self._seconds, self._waited = 0, 0.0, 0.0

    def ended(self, row: Written) -> None:
        """Learn from a row that ended, and choose the number of threads anew when that was a round."""
        if self._old_rows > 0:
            self._old_rows -= 1
            self._begin(row.at)
            return
        if self._began is None:
            self._began = row.at - row.seconds
        self._rows += 1
        self._seconds += row.seconds
        self._waited += row.waited
        lasted = row.at - self._began
        if self._starting:
            if self._rows >= self.size and lasted > 0:
                self._start(lasted)
                self._begin(row.at)
            return
        rounds = 1 if self._settled is None or self._before is not None else _SETTLED_ROUNDS
        paced = self._waited > _SCARCE * self._seconds
        enough = self._rows >= max(rounds * self.size, _FEWEST_ROWS)
        if enough and lasted >= (_SHORTEST_PACED_ROUND if paced else _SHORTEST_ROUND):
            self._choose(row.at, lasted)
            self._begin(row.at)

    def _begin(self, now: float) -> None:
        self._began = now
        self._rows, self._seconds, self._waited = 0, 0.0, 0.0

    def _start(self, lasted: float) -> None:
        """Double the threads until there are enough, or rows come slower, or wait for something."""
        took = (self._seconds - self._waited) / self._rows
        scarce, idle = self._waited > _SCARCE * self._seconds, self._seconds < _BUSY * lasted * self.size
        if self._unhurried is None:
            self._unhurried = took
            self.size = max(1, min(math.ceil(took * _FIRST_RATE), FIRST_SIZE, self._largest))
        elif took > _CROWDED * self._unhurried:
            self._starting = False
            # By Little's law: so many rows are on their way when none of them has to queue.
            self._resize(math.ceil(self._rows / lasted * self._unhurried))
        elif scarce or idle:
            self._starting = False
        else:
            self._unhurried = min(self._unhurried, took)
            self.size = min(2 * self.size, self._largest)
        self._starting = self._starting and self.size < self._largest

    def _choose(self, now: float, lasted: float) -> None:
        falling, self._falling = self._falling, False
        rate, waiting = self._rows / lasted, self._waited / self._seconds if self._seconds else 0.0
        if waiting > _SCARCE:
            self._before = self._settled = None
            if waiting > _PLENTY:
                # At most by half: a long window may just have ended, and the next one begins with a full budget.
                self._resize(max(math.ceil(self.size * (1 - waiting) / (1 - _ENOUGH)), self.size // 2))
        elif self._seconds < _BUSY * lasted * self.size:
            self._before = None
        elif self._before is not None:
            self._judge(self._before, rate, now)
        elif falling and self.size > 1:
            self._needed = 1
            self._try_fewer(rate)
        elif self._settled is not None and rate < _SLOWER * self._settled:
            # Part of this round was still as before: what fewer threads bring is compared with the next one.
            self._settled, self._falling = None, True
        elif now >= self._rest_until and self.size < self._largest:
            self._try(self.size * 2, rate)
        elif self._settled is None:
            self._settled = rate
            if now < self._rest_until and self.size > self._needed:
                self._try_fewer(rate)

    def _judge(self, before: _Tried, rate: float, now: float) -> None:
        """Go on in the direction that was tried, or go back."""
        more = self.size > before.size
        least = 1 + _GAIN * (self.size / before.size - 1) if more else _LOSS
        self._before, self._settled = None, rate
        if rate < least * before.rate:
            self._settled = None if more else before.rate
            self._resize(before.size)
            # Fewer were too few: then more may be better than before. More were too many: that will not change soon.
            self._rest_until = now + _REST if more else now
            if not more:
                self._needed = before.size
        elif more and self.size < self._largest:
            self._try(self.size * 2, rate)
        elif not more and self.size > 1:
            self._try_fewer(max(rate, before.rate))

    def _try_fewer(self, rate: float) -> None:
        self._try(self.size * 2 // 3, rate)

    def _try(self, size: int, rate: float) -> None:
        self._before = _Tried(self.size, rate)
        self._resize(size)

    def _resize(self, size: int) -> None:
        self._old_rows = self.size
        self.size = max(1, min(size, self._largest))


class FirstError:
    """Why the work of several threads ends: the first error stands, whatever comes later.

    A later one is mostly a consequence, or an accident of what was still in flight: after a key was refused, a wait
    that the vendor asks of another call must not turn a wrong key into a pause.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._error: CrmError | None = None

    @property
    def error(self) -> CrmError | None:
        """The first error, or None so far."""
        return self._error

    def add(self, err: CrmError) -> CrmError:
        """Note an error unless there is one; return the one that stands."""
        with self._lock:
            if self._error is None:
                self._error = err
            return self._error


class _Raised(NamedTuple):
    """What a job ended with that has no result."""

    error: BaseException


class Workers(Generic[Job, Result]):
    """Threads that do jobs; one more is started only for a job that comes while there may be more.

    Args:
        work: Does one job.
        name: What the threads' names begin with.
    """

    def __init__(self, work: Callable[[Job], Result], name: str) -> None:
        self._work = work
        self._name = name
        self._size = 1
        self._alive = 0
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._jobs: SimpleQueue[tuple[Job] | None] = SimpleQueue()
        self._ended: SimpleQueue[Result | _Raised] = SimpleQueue()
        self._several = threading.Event()

    def add(self, job: Job) -> None:
        """Have a job done."""
        self._jobs.put((job,))
        self._start(1)

    def resize(self, size: int) -> None:
        """Have so many threads from now on, at most; those too many end with the job that they have."""
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
        """The results of the jobs that have ended since, waiting for the first, and a moment for others.

        Raises:
            BaseException: What a job raised.
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
        """End all threads, each after the job that it has; jobs that no thread has are dropped.

        Args:
            wait: Whether to return only when they have ended.

        Returns:
            The results that nobody has taken.
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
        """What has ended by now."""
        ended = []
        with suppress(Empty):
            while True:
                ended.append(self._ended.get_nowait())
        return ended

    def _run(self) -> None:
        over = False
        while not over and (job := self._jobs.get()) is not None:
            try:
                ended: Result | _Raised = self._work(job[0])
            except BaseException as err:  # noqa: BLE001 - raised again where the results are taken
                ended = _Raised(err)
            over = self._superfluous()
            self._ended.put(ended)
            if self._enough():
                self._several.set()

    def _enough(self) -> bool:
        """Whether the results are worth taking: there are several, or a thread may have nothing to do until then."""
        return self._jobs.empty() or self._ended.qsize() >= _TOGETHER

    def _superfluous(self) -> bool:
        """Whether this thread is one too many; then it no longer counts."""
        if self._alive <= self._size:
            return False
        with self._lock:
            if self._alive <= self._size:
                return False
            self._alive -= 1
            return True
