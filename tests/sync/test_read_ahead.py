"""Reading ahead: everything arrives in order, the source is closed early, and memory and disk have bounds."""

from __future__ import annotations

import tempfile
import threading
import tracemalloc
from pathlib import Path

import pytest

from airflow_provider_crm.sync.read_ahead import ReadAhead

SECONDS = 30


class Source:
    """Items from a generator that records its progress."""

    def __init__(self, count, error=None, size=1):
        self.count = count
        self.error = error
        self.size = size
        self.given = 0
        self.thread = None
        self.closed = threading.Event()

    def __call__(self):
        """The items."""
        try:
            for number in range(self.count):
                self.thread = threading.current_thread()
                self.given += 1
                yield bytes([number % 256]) * self.size
            if self.error is not None:
                raise self.error
        finally:
            self.closed.set()


@pytest.mark.parametrize(("count", "in_memory"), [(0, 2), (1, 2), (2, 2), (3, 2), (500, 1), (500, 1_000)])
def test_items_arrive_in_order(count, in_memory):
    """Whether they waited in memory or in the file."""
    with ReadAhead(Source(count), in_memory=in_memory) as items:
        assert list(items) == [bytes([number % 256]) for number in range(count)]


def test_the_source_is_closed_before_the_first_item_is_taken():
    """A slow consumer keeps no cursor open, and the source runs in one thread, which also closes it."""
    source = Source(1_000)
    with ReadAhead(source) as items:
        assert source.closed.wait(SECONDS)
        assert source.thread is not threading.current_thread()
        assert len(list(items)) == 1_000


def test_an_error_comes_where_the_item_would_have_been():
    """Items that were read before the error come first; afterwards there are no more."""
    with ReadAhead(Source(5, error=KeyError("x"))) as items:
        assert [next(items) for _ in range(5)] == [bytes([number]) for number in range(5)]
        with pytest.raises(KeyError):
            next(items)
        assert list(items) == []


def test_a_full_file_makes_the_source_wait():
    """No more is read than fits, until all of it was taken; then reading goes on, in the same space."""
    source = Source(100, size=1_000)
    with ReadAhead(source, in_memory=1, on_disk=5_000) as items:
        taken = []
        for item in items:
            taken.append(item)
            assert source.given <= len(taken) + 8
        assert len(taken) == 100


def test_memory_does_not_grow_with_the_items():
    """A thousand items of 100 kB wait in the file, not in memory."""
    source = Source(1_000, size=100_000)
    tracemalloc.start()
    with ReadAhead(source) as items:
        assert source.closed.wait(SECONDS)
        assert sum(map(len, items)) == 100_000_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3_000_000


def test_items_that_cannot_be_written_down_wait_in_memory():
    """A driver's own objects cannot be pickled: they still arrive, and the source waits for room."""

    def read():
        for number in range(20):
            yield memoryview(bytes([number])) if number % 2 else bytes([number])

    with ReadAhead(read) as items:
        assert [bytes(item) for item in items] == [bytes([number]) for number in range(20)]


def test_a_source_without_a_reader_is_closed():
    """A run that stops early leaves no cursor open."""
    source = Source(10**9, size=1_000)
    with ReadAhead(source, in_memory=1, on_disk=2_000) as items:
        next(items)
    assert source.closed.wait(SECONDS)


def test_a_full_disk_is_reported(monkeypatch):
    """Where the file cannot grow, the error names the folder and the way out."""
    with Path("/dev/full").open("w+b", buffering=0) as full:
        monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: full)
        with ReadAhead(Source(5), in_memory=1) as items, pytest.raises(OSError, match="let TMPDIR name a larger disk"):
            list(items)
