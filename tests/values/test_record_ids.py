"""Claims about record ids: none can reach another endpoint."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import unquote, urlsplit

import pytest
import requests
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_crm.exceptions import InvalidValueError
from airflow_provider_crm.values.record_ids import LONGEST_RECORD_ID, TemporaryIdTable, path_segment, path_segments

from .fields import properties


@properties
@given(
    record_id=st.text(st.characters(), min_size=1)
    | st.text(st.sampled_from("./\\%?#&=:@;+ \x00\n2eEfF\ud800é…"), min_size=1)
)
@example(record_id="..")
@example(record_id="../admin")
@example(record_id="%2e%2e")
@example(record_id="a/../b?x=1#y")
@example(record_id="...")
@example(record_id="x" * (LONGEST_RECORD_ID + 1))
def test_no_id_can_reach_another_endpoint(record_id: str) -> None:
    """Any id stays one segment of the path, also after requests has prepared the URL, and reads back as the id."""
    base = "https://api.example.com/external/v1/opportunities/"
    try:
        segment = path_segment(record_id)
    except InvalidValueError as err:
        assert err.code == "RECORD_ID"  # noqa: PT017
        impossible = any(char == "\0" or "\ud800" <= char <= "\udfff" for char in record_id)
        assert not record_id.strip(".") or not record_id.strip() or impossible or len(record_id) > LONGEST_RECORD_ID
        return
    assert "/" not in segment
    assert unquote(segment) == record_id
    url = requests.Request("PUT", base + segment + "/stage").prepare().url
    assert url is not None
    parts = urlsplit(url)
    assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("https", "api.example.com", "", "")
    segments = parts.path.split("/")
    assert segments[:4] == ["", "external", "v1", "opportunities"]
    assert [unquote(part) for part in segments[4:]] == [record_id, "stage"]


@pytest.mark.parametrize("record_id", ["", " ", "\n", ".", "..", "...", "\ud800", "a\0b"])
def test_what_is_no_id_is_refused(record_id: str) -> None:
    """Empty ids, dots that URL libraries resolve, NUL and lone surrogates are refused, with an error to be logged."""
    with pytest.raises(InvalidValueError) as caught:
        path_segment(record_id)
    assert str(caught.value).encode()


def test_ids_are_encoded_together_as_they_are_alone():
    """Also where one has to be encoded, holds a line break, or is too long."""
    for ids in (["oppo_1", "~a.b"], ["a b", "c"], ["a\nb"], ["a\n", "b"], []):
        assert path_segments(ids) == list(map(path_segment, ids))
    for bad in ("x" * (LONGEST_RECORD_ID + 1), "", ".."):
        with pytest.raises(InvalidValueError):
            path_segments(["good", bad])
    assert path_segments(["x" * LONGEST_RECORD_ID]) == ["x" * LONGEST_RECORD_ID]


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
