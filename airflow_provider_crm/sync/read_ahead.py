"""Read a source in the background, so that its cursor or file is closed early."""

from __future__ import annotations

import contextvars
import pickle
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Generic, Self, TypeVar

_T = TypeVar("_T")
IN_MEMORY = 2
ON_DISK = 4 << 30
_SECONDS_TO_END = 2.0


class ReadAhead(Generic[_T]):
    """A reader of items in its own thread, as fast as their source yields them; it stores them until they are consumed.

    A few items stay in memory, the others in a temporary file that disappears with the process. When the file has
    reached its limit, the source has to wait until all of it was consumed.

    An exception of the source is raised to the consumer, after all items before it.

    Args:
        read: Returns the iterable of items; called, iterated over and closed in the thread.
        in_memory: Maximum number of items in memory.
        on_disk: Maximum number of bytes in the file, not counting the last item.
    """

    def __init__(self, read: Callable[[], Iterable[_T]], *, in_memory: int = IN_MEMORY, on_disk: int = ON_DISK) -> None:
        self._read = read
        self._in_memory = in_memory
        self._on_disk = on_disk
        self._memory: deque[_T] = deque()
        self._file: IO[bytes] = tempfile.TemporaryFile(prefix="crm-")  # noqa: SIM115 - closed by the with of this object
        self._read_to = self._written_to = 0
        self._error: BaseException | None = None
        self._has_ended = self._closed = False
        self._changed = threading.Condition()
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._run,), name="crm-read-ahead", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Stop reading; a thread whose source is still busy after two seconds is not waited for."""
        with self._changed:
            self._closed = True
            self._memory.clear()
            self._changed.notify_all()
        self._thread.join(_SECONDS_TO_END)
        if not self._thread.is_alive():
            self._file.close()

    def __iter__(self) -> Iterator[_T]:
        return self

    def __next__(self) -> _T:
        """Return the next item, waiting for it if necessary."""
        with self._changed:
            while not (self._memory or self._spilled or self._has_ended):
                self._changed.wait()
            if self._memory:
                self._changed.notify_all()
                return self._memory.popleft()
            if self._spilled:
                return self._from_file()
            if self._error is not None:
                error, self._error = self._error, None
                raise error
        raise StopIteration

    @property
    def has_ended(self) -> bool:
        """Whether the source was read to its end, or to the item at which it broke."""
        return self._has_ended

    @property
    def _spilled(self) -> bool:
        """Whether the file has items that were not consumed."""
        return self._read_to < self._written_to

    def _run(self) -> None:
        try:
            items = self._read()
            try:
                for item in items:
                    if not self._put(item):
                        return
            finally:
                close = getattr(items, "close", None)
                if close is not None:
                    close()
        except BaseException as err:  # noqa: BLE001 - raised again to the consumer
            self._error = err
        finally:
            with self._changed:
                self._has_ended = True
                self._changed.notify_all()

    def _put(self, item: _T) -> bool:
        """Store an item; return False once the consumer has closed this."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._written_to < self._on_disk)
            if self._closed or self._has_room():
                return self._in_memory_put(item)
        try:
            data = pickle.dumps(item, pickle.HIGHEST_PROTOCOL)
        except (pickle.PicklingError, TypeError, AttributeError):  # a driver's own objects, such as a memoryview
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._has_room())
                return self._in_memory_put(item)
        with self._changed:
            if not self._closed:
                self._spill(data)
            return not self._closed

    def _has_room(self) -> bool:
        """Return whether an item may stay in memory: not while earlier items are in the file."""
        return not self._spilled and len(self._memory) < self._in_memory

    def _in_memory_put(self, item: _T) -> bool:
        if not self._closed:
            self._memory.append(item)
            self._changed.notify_all()
        return not self._closed

    def _spill(self, data: bytes) -> None:
        try:
            self._file.seek(self._written_to)
            self._file.write(data)
            self._file.flush()
        except OSError as err:
            msg = (
                f"{err.strerror} in {tempfile.gettempdir()}, where rows wait for the CRM; let TMPDIR name a larger disk"
            )
            raise OSError(err.errno, msg) from err
        self._written_to += len(data)
        self._changed.notify_all()

    def _from_file(self) -> _T:
        self._file.seek(self._read_to)
        item: _T = pickle.load(self._file)  # noqa: S301 - written by this process
        self._read_to = self._file.tell()
        if not self._spilled:
            self._file.truncate(0)
            self._read_to = self._written_to = 0
        self._changed.notify_all()
        return item
