"""Claims about shards: every row in exactly one, the same one everywhere, for every spelling of its id."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections import Counter
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_crm.exceptions import ConfigurationError
from airflow_provider_crm.rows import Shard
from airflow_provider_crm.rows.cells import Mark, cells_of, exact_integers
from airflow_provider_crm.rows.reader import record_id_of

ID = "6f1c1f5e-9f0b-4a55-8a0e-1f2d3c4b5a69"
SAME = (
    (17, "17", " 17\n", 17.0, Decimal("17.00"), np.int32(17)),
    ("oppo_1", " oppo_1 ", np.str_("oppo_1")),
    (ID, uuid.UUID(ID)),
)
BAD = (None, float("nan"), "", "   ", ".", "..", True, 1.5, 2.0**60, float("inf"), b"17", [1], Mark.ABSENT, "\ud800")

ids = st.one_of(
    st.text(max_size=12), st.integers(), st.floats(), st.decimals(), st.uuids(), st.none(), st.booleans(), st.binary()
)


def dealt(cells, count):
    """Return the row numbers that each shard takes of a column of ids."""
    frame = pd.DataFrame({"id": pd.Series(cells, dtype=object), "row": range(len(cells))})
    return [Shard(number, count).part(frame, "id")["row"].tolist() for number in range(count)]


@given(st.lists(ids, max_size=30), st.integers(1, 9))
def test_every_row_is_in_exactly_one_shard_in_its_order(cells, count):
    """For any cells the shards together have each row once, and in the same order."""
    parts = dealt(cells, count)
    assert sorted(row for part in parts for row in part) == list(range(len(cells)))
    assert all(part == sorted(part) for part in parts)


@given(st.lists(ids, max_size=30), st.integers(1, 9))
def test_rows_of_one_id_are_in_one_shard(cells, count):
    """Cells that the reader takes as the same id are never in two shards."""
    column = pd.Series(cells, dtype=object)
    shards_of = {}
    for number, part in enumerate(dealt(cells, count)):
        for row in part:
            (cell,) = cells_of(column.iloc[row : row + 1])
            record_id, refused = record_id_of(cell, exact_integers(column.dtype))
            if refused is None:
                shards_of.setdefault(record_id, set()).add(number)
    assert all(len(numbers) == 1 for numbers in shards_of.values())


@pytest.mark.parametrize("cells", SAME)
def test_an_id_is_the_text_that_the_crm_gets(cells):
    """17, 17.0 and "17" are one id, among any number of shards."""
    for count in (2, 3, 8, 1000):
        assert len([part for part in dealt(list(cells), count) if part]) == 1


@pytest.mark.parametrize("dtype", ["int64", "float64", "Int64", "object", "string", "int64[pyarrow]", "category"])
def test_the_type_of_the_column_does_not_matter(dtype):
    """Two tasks whose drivers type the column otherwise deal the same rows."""
    texts = [str(number) for number in range(100)]
    typed = pd.Series(texts if dtype == "string" else range(100)).astype(dtype)
    frame = pd.DataFrame({"id": typed, "row": range(100)})
    parts = [Shard(number, 8).part(frame, "id")["row"].tolist() for number in range(8)]
    assert parts == dealt(texts, 8)


@pytest.mark.parametrize("cell", BAD, ids=repr)
def test_a_bad_id_is_in_one_shard(cell):
    """A row that will be refused for its id is refused once, not by all or none of the tasks."""
    assert sorted(map(len, dealt([cell], 8))) == [0, 0, 0, 0, 0, 0, 0, 1]


def test_rows_without_any_id_are_the_first_shards():
    """Rows without any id cannot be distinguished: all of them are in shard 0."""
    assert dealt([None, "", "  ", float("nan")], 8)[0] == [0, 1, 2, 3]


def test_the_shard_of_an_id_never_changes():
    """Tasks of one run may be on machines of several versions: these numbers are for ever."""
    shards = {"17": 2, "oppo_1": 3, "006Ax000001": 4, ID: 5, "été": 4}
    assert {text: next(n for n, part in enumerate(dealt([text], 8)) if part) for text in shards} == shards


def test_the_shard_does_not_depend_on_the_process():
    """Python's own hash of a text is another one in each process; the shard is not."""
    code = (
        "import pandas as pd; from airflow_provider_crm.rows import Shard; "
        "frame = pd.DataFrame({'id': [f'oppo_{n}' for n in range(50)]}); "
        "print([len(Shard(n, 8).part(frame, 'id')) for n in range(8)], list(Shard(3, 8).part(frame, 'id')['id']))"
    )
    results = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(results) == 1


@pytest.mark.parametrize(
    "made",
    [
        lambda number: str(number * 10),
        lambda number: f"oppo_{number}",
        lambda number: f"{number:06d}"[::-1],
        lambda number: str(uuid.UUID(int=number << 64)),
    ],
    ids=["tens", "names", "reversed", "sparse-uuids"],
)
@pytest.mark.parametrize("count", [2, 3, 8, 10])
def test_shards_are_of_about_one_size(made, count):
    """Ids that count in steps, as keys do, fill all shards alike: none is a fifth above its share of 8,000 rows."""
    sizes = Counter({number: len(part) for number, part in enumerate(dealt([made(n) for n in range(8_000)], count))})
    assert max(sizes.values()) < 1.2 * 8_000 / count


@pytest.mark.parametrize(
    ("shard", "shards", "wanted"),
    [(None, None, None), (0, 1, Shard(0, 1)), (7, 8, Shard(7, 8)), ("7", "8", Shard(7, 8)), (" 0 ", 8, Shard(0, 8))],
)
def test_arguments_are_whole_numbers_also_as_text(shard, shards, wanted):
    """Templates render to text, which is taken as the number that it shows; without arguments there is no shard."""
    assert Shard.from_arguments(shard, shards) == wanted


BOTH = "write both, as in .partial(..., shards=8).expand(shard=list(range(8)))."


@pytest.mark.parametrize(
    ("shard", "shards", "message"),
    [
        (3, None, f"shard is 3 without shards; {BOTH}"),
        (None, 8, f"shards is 8 without shard; {BOTH}"),
        (0, 0, "shards is 0; write how many tasks share the rows, a whole number from 1, such as 8."),
        (0, True, "shards is True; write how many tasks share the rows, a whole number from 1, such as 8."),
        (0, 8.0, "shards is 8.0; write how many tasks share the rows, a whole number from 1, such as 8."),
        (0, "None", "shards is 'None'; write how many tasks share the rows, a whole number from 1, such as 8."),
        (8, 8, "shard is 8, and shards is 8; write a whole number from 0 to 7."),
        ("8", "8", "shard is '8', and shards is 8; write a whole number from 0 to 7."),
        (-1, 8, "shard is -1, and shards is 8; write a whole number from 0 to 7."),
        ([0], 8, "shard is [0], and shards is 8; write a whole number from 0 to 7."),
        (False, 8, "shard is False, and shards is 8; write a whole number from 0 to 7."),
        (1, 1, "shard is 1, and shards is 1; write 0."),
    ],
)
def test_wrong_arguments_are_reported_with_what_to_write(shard, shards, message):
    """Each mistake has a sentence that names both what was written and what to write."""
    with pytest.raises(ConfigurationError) as caught:
        Shard.from_arguments(shard, shards)
    assert str(caught.value) == message
