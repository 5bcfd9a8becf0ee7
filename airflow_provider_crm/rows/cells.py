"""Convert columns of any type to plain Python objects without loss."""

from __future__ import annotations

import datetime as dt
import enum
import operator
import uuid
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa  # type: ignore[import-untyped, unused-ignore]

_PLAIN = frozenset({str, int, float, bool, Decimal, dt.date, dt.datetime, type(None)})
_DECIMALS = frozenset({Decimal, type(None)})
_UNREADABLE = (ArithmeticError, LookupError, NotImplementedError, RecursionError, TypeError, ValueError)


class Mark(enum.Enum):
    """A cell without a value."""

    ABSENT = "the row of a list of dicts or a JSON line has no such key: neither null nor a value"
    SKIP = "the field is left alone"


class RefusedCell(NamedTuple):
    """A cell that no field takes; `text` ends the sentence that begins with "takes a number, "."""

    code: str
    text: str


NAN = RefusedCell("NOT_FINITE", "the row has NaN, which is no missing value here; write NULL (None) for one")


def exact_integers(dtype: object) -> int:
    """Return the size from which floats of this column cannot hold every whole number."""
    import numpy as np

    plain = getattr(dtype, "numpy_dtype", dtype)
    bits = np.finfo(plain).nmant + 1 if isinstance(plain, np.dtype) and plain.kind == "f" else 53
    limit: int = 2 ** min(int(bits), 53)
    return limit


def cells_of(column: pd.Series[Any]) -> list[object]:
    """Return every cell as a plain Python object without loss.

    A null becomes None, and a value that no field can hold a `RefusedCell`.
    """
    try:
        return _converted(column)
    except _UNREADABLE:  # one cell is out of the calendar or the like: halve until it stands alone
        middle = len(column) // 2
        if not middle:
            return [RefusedCell("TYPE", f"the row has a {column.dtype} that cannot be read")] * len(column)
        return cells_of(column.iloc[:middle]) + cells_of(column.iloc[middle:])


def _converted(column: pd.Series[Any]) -> list[object]:  # noqa: PLR0911 - one per family of types
    import numpy as np
    import pandas as pd

    dtype: Any = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        categories = [*cells_of(pd.Series(dtype.categories)), None]  # code -1 is a null, and the last place
        return [categories[code] for code in column.cat.codes.tolist()]
    array: Any = column.array
    if isinstance(dtype, pd.ArrowDtype):
        return _arrow_cells(array.__arrow_array__())
    if isinstance(dtype, pd.SparseDtype):
        return _converted(column.astype(dtype.subtype))
    if isinstance(dtype, pd.StringDtype):
        return list(array.to_numpy(dtype=object, na_value=None))
    if isinstance(dtype, pd.DatetimeTZDtype):
        return _moments(column)
    if isinstance(dtype, np.dtype):
        return _numpy_cells(column, dtype)
    plain = getattr(dtype, "numpy_dtype", None)
    if isinstance(plain, np.dtype) and plain.kind in "iufb":  # nullable: values and a mask
        values = _numpy_cells(pd.Series(array.to_numpy(dtype=plain, na_value=plain.type(0))), plain)
        return _nulls_only(values, column.isna().tolist())
    return [_cell(value) for value in column.astype(object).tolist()]


def _numpy_cells(column: pd.Series[Any], dtype: np.dtype[Any]) -> list[object]:
    if dtype.kind == "f":
        return _floats(column.to_numpy())
    if dtype.kind == "M":
        return _moments(column)
    values: list[object] = column.tolist()
    return values if dtype.kind in "iub" or _are_exact(values) else [_cell(value) for value in values]


def _are_exact(values: Sequence[Any]) -> bool:
    """Return whether all objects are plain already, and none is a NaN."""
    kinds = set(map(type, values))
    if Decimal in kinds:
        return kinds <= _DECIMALS and not any(map(Decimal.is_nan, filter(None, values)))
    # NaN is the only plain value that differs from itself.
    return kinds <= _PLAIN and not (float in kinds and any(map(operator.ne, values, values)))


def _floats(values: np.ndarray) -> list[object]:
    """Read floats by the shortest text of their own width: 0.1 in float32 is 0.1, not 0.10000000149011612."""
    if values.dtype.itemsize == 8:  # noqa: PLR2004 - bytes of a Python float
        numbers = values.tolist()
    elif values.dtype.itemsize < 8:  # noqa: PLR2004
        numbers = [float(text) for text in values.astype(str).tolist()]
    else:
        numbers = [None if value != value else Decimal(str(value)) for value in values]  # noqa: PLR0124 - NaN
    return [None if number != number else number for number in numbers]  # noqa: PLR0124 - NaN


def _nulls_only(values: list[object], nulls: list[bool]) -> list[object]:
    """Refuse NaN in a column that has nulls of its own; both came out as None."""
    return [None if null else NAN if value is None else value for value, null in zip(values, nulls, strict=True)]


def _moments(column: pd.Series[Any]) -> list[object]:
    """Return points in time; equal ones are one object."""
    array: Any = column.array
    codes, distinct = array.factorize()
    moments: list[object] = [*distinct.to_pydatetime(), None]  # code -1 is a null, and the last place
    return [moments[code] for code in codes.tolist()]


def _arrow_cells(array: pa.ChunkedArray | pa.Array) -> list[object]:
    import pyarrow as pa

    kind = array.type
    if pa.types.is_dictionary(kind):
        chunks = array.chunks if isinstance(array, pa.ChunkedArray) else [array]
        return [cell for chunk in chunks for cell in _dictionary_cells(chunk)]
    if pa.types.is_floating(kind):
        values = _floats(_numpy_of(array))
        return values if values.count(None) == array.null_count else _nulls_only(values, array.is_null().to_pylist())
    if pa.types.is_timestamp(kind):
        return _moments(array.to_pandas())
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return [None if not item.is_valid else _list_cell(_arrow_cells(item.values)) for item in array]
    values = array.to_pylist()
    return values if _are_exact(values) else [_cell(value) for value in values]


def _dictionary_cells(array: pa.DictionaryArray) -> list[object]:
    """Read one chunk by its dictionary, which Arrow itself cannot cast for each of its types."""
    values = [*_arrow_cells(array.dictionary), None]  # -1, the last place, is a null
    return [values[-1 if code is None else code] for code in array.indices.to_pylist()]


def _numpy_of(array: pa.ChunkedArray | pa.Array) -> np.ndarray:
    import pyarrow as pa

    values: np.ndarray = array.to_numpy(**({} if isinstance(array, pa.ChunkedArray) else {"zero_copy_only": False}))
    return values


def _cell(value: Any) -> object:  # noqa: ANN401, C901, PLR0911 - one branch per type
    """Return one cell of an object column."""
    import numpy as np
    import pandas as pd

    if value is None or value is pd.NA or value is pd.NaT or isinstance(value, (Mark, RefusedCell)):
        return None if value is pd.NA or value is pd.NaT else value
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (str, uuid.UUID)):
        return str.__str__(value) if isinstance(value, str) else str(value)
    if isinstance(value, Decimal):
        return NAN if value.is_nan() else value
    if isinstance(value, (np.datetime64, pd.Timestamp)):
        return _timestamp(value)
    if isinstance(value, (dt.date, dt.datetime)):
        return value
    if isinstance(value, np.floating):
        return _floats(np.array([value]))[0]
    if isinstance(value, (int, np.integer)) and not isinstance(value, np.timedelta64):
        return int(value)
    if isinstance(value, float):
        return None if value != value else float(value)  # noqa: PLR0124 - NaN
    if isinstance(value, np.ndarray):
        return _list_cell([_cell(item) for item in value]) if value.ndim else _cell(value[()])
    if type(value) in (list, tuple):
        return _list_cell([_cell(item) for item in value])
    if isinstance(value, (set, frozenset)):
        return _list_cell(sorted((_cell(item) for item in value), key=str))
    return RefusedCell("TYPE", f"the row has a {type(value).__name__}")


def _timestamp(value: np.datetime64 | pd.Timestamp) -> object:
    import numpy as np
    import pandas as pd

    if isinstance(value, np.datetime64):
        if np.isnat(value):
            return None
        if np.datetime_data(value.dtype)[0] == "D":
            date = value.item()
            return date if isinstance(date, dt.date) else RefusedCell("TYPE", "the row has a date out of the calendar")
    try:
        return pd.Timestamp(value).to_pydatetime(warn=False)
    except (OverflowError, ValueError):
        return RefusedCell("TYPE", "the row has a point in time out of the calendar")


def _list_cell(items: list[object]) -> object:
    if any(item is None for item in items):
        return RefusedCell("NULL", "the row has a list with an empty (null) value in it; leave those out of the list")
    refused = next((item for item in items if isinstance(item, RefusedCell)), None)
    if refused:
        return RefusedCell(refused.code, f"{refused.text} in a list")
    if any(isinstance(item, list) for item in items):
        return RefusedCell("LIST", "the row has a list of lists")
    return items
