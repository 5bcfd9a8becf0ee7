"""The garbage collector while rows are processed."""

from __future__ import annotations

import gc
import weakref

import pytest

from airflow_provider_crm.sync.gc_tuning import freeze_imports


class _Node:
    """An object that can be watched."""


def test_new_objects_are_collected():
    """A circle of references made by the run does not stay until it ends."""
    with freeze_imports():
        node = _Node()
        node.itself = node
        watched = weakref.ref(node)
        del node
        gc.collect()
        assert watched() is None


def test_objects_of_imports_are_not_traversed():
    """That is the whole point; and all of it is back afterwards, also after an error."""

    def fails():
        with freeze_imports():
            assert gc.get_freeze_count() > 1_000
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert gc.get_freeze_count() == 0


def test_the_collector_seldom_runs_while_rows_are_processed():
    """It runs less often while thousands of objects live for a moment; afterwards it runs as before."""
    before, looks = gc.get_threshold(), []

    def noted(phase, _):
        looks.append(phase)

    gc.callbacks.append(noted)
    try:
        with freeze_imports():
            objects = [[] for _ in range(10_000)]
            assert looks == []
        objects += [[] for _ in range(10_000)]
    finally:
        gc.callbacks.remove(noted)
    assert gc.get_threshold() == before
    assert looks
