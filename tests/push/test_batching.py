"""Put rows together that may share a call, for any order of records and kinds of rows: no call is sent."""

from __future__ import annotations

from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_crm.push.in_flight import Batches
from airflow_provider_crm.vendors.calls import BatchCall, Call, WriteCall

from .batch_vendor import join


def route(largest, largest_bytes=None):
    """A write call whose rows share calls."""
    batch = BatchCall("PUT", "/many", largest, join, lambda *_: [], largest_bytes)
    return WriteCall("PUT", "/one/{}", ("note",), batch=batch)


def job(number, record, write_call, *, size=0, calls=1):
    """A row with calls of one kind."""
    call = Call("PUT", "/one/x", body=f'{{"note": "{number:03}{"x" * size}"}}', route=write_call)
    return SimpleNamespace(number=number, update=SimpleNamespace(record_id=record), calls=(call,) * calls)


ROUTES = [route(3), route(5, 120), WriteCall("PUT", "/one/{}", ("note",))]
ROWS = st.lists(
    st.tuples(st.sampled_from("abcdefghij"), st.sampled_from(ROUTES), st.sampled_from([0, 40, 200]), st.booleans()),
    max_size=30,
)


@given(chunks=st.lists(ROWS, max_size=3), first_alone=st.booleans())
def test_every_row_is_in_one_call_and_those_of_a_record_are_in_order(chunks, first_alone):
    """No call has a record twice, too many rows or bytes, or rows of two kinds; none is left when a chunk ends."""
    batches, calls, number = Batches(first_alone=first_alone), [], 0
    for chunk in chunks:
        for record, write_call, size, several in chunk:
            calls += batches.add(job(number, record, write_call, size=size, calls=1 + several))
            number += 1
        calls += batches.rest()
        assert sorted(one.number for call in calls for one in call) == list(range(number))
    assert not (first_alone and calls) or len(calls[0]) == 1
    for call in calls:
        records = [one.update.record_id for one in call]
        assert len(set(records)) == len(records) > 0
        if len(call) > 1:
            (batch,) = {one.calls[0].route.batch for one in call}
            assert len(call) <= batch.largest
            assert {len(one.calls) for one in call} == {1}
            rows = [SimpleNamespace(record_id=one.update.record_id, body=one.calls[0].body, trace="9") for one in call]
            assert len(join(rows)) <= (batch.largest_bytes or 10_000)
    for record in "abcdefghij":
        order = [one.number for call in calls for one in call if one.update.record_id == record]
        assert order == sorted(order)


def test_rows_stay_until_they_fill_a_call():
    """A call is sent when it is full; the rest when it is asked for."""
    batches = Batches(first_alone=False)
    added = [len(call) for number in range(7) for call in batches.add(job(number, f"r{number}", ROUTES[0]))]
    assert (added, [len(call) for call in batches.rest()]) == ([3, 3], [1])
    assert list(batches.rest()) == []


def test_rows_that_differ_in_how_they_share_calls_do_not_share_one():
    """Each kind has its own call, and the rows of one kind need not stand beside each other."""
    batches = Batches(first_alone=False)
    for number in range(4):
        assert not batches.add(job(number, f"r{number}", ROUTES[number % 2]))
    assert [[one.number for one in call] for call in batches.rest()] == [[0, 2], [1, 3]]
