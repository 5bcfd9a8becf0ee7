"""Ids with a row each, outside of memory."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_crm.values.temporary_ids import TemporaryIdTable

properties = settings(max_examples=100)


@properties
@given(chunks=st.lists(st.lists(st.none() | st.integers(0, 60).map(str), max_size=30), max_size=8))
def test_ids_of_earlier_rows_are_found(chunks: list[list[str | None]]) -> None:
    """The memory of ids knows whether all of a chunk are new, and the first row of each that came before."""
    seen, known, row = TemporaryIdTable(), dict[str, int](), 0
    for chunk in chunks:
        good = [record_id for record_id in chunk if record_id is not None]
        assert seen.add_first(chunk, row) is (len(set(good)) == len(good) and known.keys().isdisjoint(good))
        assert seen.rows_of(good, before=row) == {
            record_id: known[record_id] for record_id in good if record_id in known
        }
        for number, record_id in enumerate(chunk, row):
            if record_id is not None:
                known.setdefault(record_id, number)
        row += len(chunk)


def test_any_thread_may_drop_the_memory_of_ids() -> None:
    """The garbage collector runs in any thread; closing the temporary file there is no error."""
    tables, unraisable = [TemporaryIdTable()], list[object]()
    hook, sys.unraisablehook = sys.unraisablehook, unraisable.append
    try:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(tables.clear).result()
    finally:
        sys.unraisablehook = hook
    assert not unraisable


def test_the_last_row_of_each_record_is_known() -> None:
    """Later rows replace earlier ones; records that do not occur are left out, whatever their ids look like."""
    with TemporaryIdTable() as rows:
        rows.add_last([("oppo_1", 0), ("oppo_2", 1), ("oppo_1", 2), ('"é\n', 3)])
        assert len(rows) == 3
        assert rows.rows_of(["oppo_1", "oppo_2", "oppo_3", '"é\n']) == {"oppo_1": 2, "oppo_2": 1, '"é\n': 3}
