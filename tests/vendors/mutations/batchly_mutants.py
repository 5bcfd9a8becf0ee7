"""Faults in Batchly, a vendor with batches, in each of its variants."""

# ruff: noqa: E501 - the texts to replace are lines of the source as they stand

from __future__ import annotations

from tests.vendors.mutations.mutant import Mutant, Mutated

VENDOR, ANSWERS, FIELDS = "tests.fake.vendor", "tests.fake.vendor_answers", "tests.fake.vendor_fields"
ARRIVES, CLEAR, LAND = ("test_value_arrives",), ("test_clear",), ("test_batches_land",)


def in_vendor(name, old, new, *claims):
    """Return a fault in the vendor's methods."""
    return Mutant(name, VENDOR, old, new, claims)


def in_answers(name, old, new, *claims):
    """Return a fault in the reading of answers."""
    return Mutant(name, ANSWERS, old, new, claims)


def in_fields(name, old, new, *claims):
    """Return a fault in the fields and their values."""
    return Mutant(name, FIELDS, old, new, claims)


COMMON = (
    in_vendor("no limits told", "return burst, day\n", "return ()\n", "test_limits_are_told"),
    in_vendor("a 429 without a wait", "wait=burst_wait,", "wait=None,", "test_a_refusal"),
    in_vendor(
        "a wait in milliseconds",
        "wait = _thousandth(limit_headers.seconds(told))",
        "wait = limit_headers.seconds(told)",
        "test_a_refusal",
    ),
    in_vendor(
        "budget_group raises",
        '        return "list" if',
        '        raise ValueError(call)\n        return "list" if',
        "test_groups",
    ),
    in_vendor("a group for each record", '== self._records else ""', "== self._records else call.path", "test_groups"),
    in_vendor(
        "the day's remaining calls told for the burst",
        'headers.get("X-Batchly-Remaining")',
        'headers.get("X-Batchly-Daily-Remaining")',
        "test_limits_are_told",
    ),
    in_vendor(
        "the window told in milliseconds",
        "length, reset = _thousandth(milliseconds), ",
        "length, reset = milliseconds, ",
        "test_limits_are_told",
    ),
    in_vendor(
        "a list of one page", "after if isinstance(after, str) and after else None", "None", "test_a_list_is_whole"
    ),
    in_vendor(
        "a cursor that is ignored",
        'after = {} if cursor is None else {"after": cursor}',
        "after = {}",
        "test_a_list_is_whole",
    ),
    in_vendor(
        "a list that is not flattened",
        'RecordPage(objects_of(member(body, "results")),',
        'RecordPage([{"record": one} for one in objects_of(member(body, "results"))],',
        "test_a_list_is_whole",
    ),
    in_vendor(
        "miscounted pages",
        'RecordPage(objects_of(member(body, "results")), after if isinstance(after, str) and after else None)',
        'RecordPage(objects_of(member(body, "results")), after if isinstance(after, str) and after else None, 1)',
        "test_a_list_is_whole",
    ),
    in_vendor(
        "a list that does not name its keys",
        "params={**filters, **_named(keys), ",
        "params={**filters, ",
        "test_a_list_has_the_records",
    ),
    in_vendor(
        "a read that does not name its keys", "params=_named(keys))", "params={})", "test_undo", "test_value_arrives"
    ),
    in_vendor("filters dropped", "params={**filters, **_named", "params={**_named", "test_filters"),
    in_vendor(
        "an id not encoded",
        '{self._records}/{path_segment(record_id)}", params',
        '{self._records}/{record_id}", params',
        "test_no_id_reaches_another_endpoint",
    ),
    in_vendor(
        "canonical_id does nothing",
        'return record_id.lstrip("0") or "0" if record_id.isascii() and record_id.isdigit() else record_id',
        "return record_id",
        "test_an_id_has_one_spelling",
    ),
    in_vendor(
        "canonical_id forgets the last digit",
        'return record_id.lstrip("0") or "0" if',
        "return record_id[:-1] if",
        "test_an_id_has_one_spelling",
    ),
    in_vendor(
        "a link for any server",
        "        if origin != self.origin:\n            return None\n",
        "",
        "test_the_page_of_a_record",
    ),
    in_vendor("no envelope", 'envelope=("properties",),', "", "test_value_arrives"),
    in_vendor("the wrong envelope", 'envelope=("properties",),', 'envelope=("values",),', "test_value_arrives"),
    in_vendor("values as they are on the wire", "            spell=spell,\n", "", "test_value_arrives"),
    in_vendor("a cost of nothing", "cost=1 + self._cost_per_row,", "cost=0,", "test_groups"),
    in_vendor("a cost that is too high", "cost=1 + self._cost_per_row,", "cost=3,", "test_costs"),
    in_vendor(
        "said not to be safe to send twice, and yet shared",
        "            shows_values=self._shows_values,\n            cost=1",
        "            replayable=False,\n            shows_values=self._shows_values,\n            cost=1",
        "test_only_safe_rows_share_a_call",
    ),
    in_vendor(
        "a batch of one more than a call takes",
        "LARGEST_BATCH, LARGEST_BODY, PAGE_SIZE = 100, ",
        "LARGEST_BATCH, LARGEST_BODY, PAGE_SIZE = 101, ",
        "test_batches_land",
    ),
    in_vendor(
        "a batch without a maximum",
        "LARGEST_BATCH, LARGEST_BODY, PAGE_SIZE = 100, ",
        "LARGEST_BATCH, LARGEST_BODY, PAGE_SIZE = 150, ",
        "test_batches_land",
        "test_reads_of_several_records",
    ),
    in_vendor(
        "a batch of one",
        "LARGEST_BATCH, LARGEST_BODY, PAGE_SIZE = 100, ",
        "LARGEST_BATCH, LARGEST_BODY, PAGE_SIZE = 1, ",
        "test_only_safe_rows_share_a_call",
    ),
    in_vendor(
        "a body of twice the bytes that a call takes",
        "LARGEST_BATCH, LARGEST_BODY, PAGE_SIZE = 100, 1_000_000",
        "LARGEST_BATCH, LARGEST_BODY, PAGE_SIZE = 100, 2_000_000",
        "test_bytes_of_a_batch",
    ),
    in_vendor(
        "a batch that reads another number of keys",
        'if keys else ""\n        return Call("POST"',
        'if not keys else ""\n        return Call("POST"',
        "test_reads_of_several_records",
    ),
    in_vendor(
        "missing credentials passed over",
        "        if not credentials.api_key:\n",
        "        if False:\n",
        "test_missing_credentials",
    ),
    in_vendor("a header that the vendor does not read", '{"X-Batchly-Token": ', '{"X-Token": ', "test_probe"),
    in_vendor(
        "any dict is a probe's answer",
        "        if catalogue.organization is None:\n            raise record_error(self.display_name, response)\n",
        "",
        "test_probe_of_another_service",
    ),
    in_vendor("an older API", "api_version = 1", "api_version = 0", "test_protocol"),
    in_vendor(
        "the wrong key of ids",
        'id_key = "id"',
        'id_key = "createdAt"',
        "test_value_arrives",
        "test_another_record",
        "test_a_list_is_whole",
    ),
    in_answers(
        "any JSON is the vendor's own error",
        "    if error is None:\n        return foreign_error(vendor, response)\n",
        "    error = error or {}\n",
        "test_a_foreign_answer_is_no_verdict",
    ),
    in_answers("errors without their fields", "        field_errors=fields,\n", "", "test_a_refused_row"),
    in_answers(
        "long messages",
        '    code, message = text_of(error.get("code")), text_of(error.get("message"))',
        '    code, message = str(error.get("code")), str(error.get("message"))',
        "test_a_long_text_is_shortened",
    ),
    in_answers(
        "a record that is gone is a 400 in a batch",
        '"NOT_FOUND": HTTPStatus.NOT_FOUND, "LOCKED"',
        '"LOCKED"',
        "test_an_unknown_id",
    ),
    in_fields(
        "amounts times 100",
        'Field("deal_value", "amount", Kind.MONEY, amount_digits=0)',
        'Field("deal_value", "amount", Kind.MONEY, amount_digits=2)',
        "test_money",
        "test_amounts",
    ),
    in_fields(
        "money without a unit",
        'Field("deal_value", "amount", Kind.MONEY, amount_digits=0)',
        'Field("deal_value", "amount", Kind.MONEY)',
        "test_money",
    ),
    in_fields(
        "nothing shown",
        "        return ()\n    text, field",
        "        return ()\n    return ()\n    text, field",
        "test_undo",
    ),
    in_fields(
        "every write taken for landed",
        "    values = shown(key, record, catalogue)\n    if isinstance",
        "    return True\n    if isinstance",
        "test_value_arrives",
    ),
    in_fields(
        "a cleared value always believed",
        "    values = shown(key, record, catalogue)\n    if isinstance",
        "    values = shown(key, record, catalogue)\n    if sent is None:\n        return True\n    if isinstance",
        "test_clear",
    ),
    in_fields(
        "booleans shown as texts", 'return (text == "true",)', "return (text,)", "test_undo", "test_value_arrives"
    ),
    in_fields(
        "yes and no swapped",
        'True: "true", False: "false"',
        'True: "false", False: "true"',
        "test_value_arrives",
    ),
    in_fields(
        "a clear that sends the text null",
        '{None: "", ',
        '{None: "null", ',
        "test_clear",
    ),
    in_fields("lists joined by commas", 'return ";".join', 'return ",".join', "test_value_arrives"),
    in_fields(
        "numbers of too many digits",
        'return format(value, "f")',
        "return str(float(value))",
        "test_value_arrives",
        "test_amounts",
    ),
    in_fields(
        "instants without their zone",
        "[one.astimezone(dt.UTC) if isinstance",
        "[one.replace(tzinfo=dt.UTC) if isinstance",
        "test_value_arrives",
    ),
    in_fields("own field names missing", '    Field("description", "description"),\n', "", "test_fields"),
    in_fields(
        "a personal field that is none",
        'Field("contact_email", "contact_email", personal=True)',
        'Field("contact_email", "contact_email")',
        "test_personal_values",
    ),
    in_fields(
        "a field that cannot be cleared offered for it",
        'Field("name", "name", clearable=False)',
        'Field("name", "name")',
        "test_clear",
    ),
    in_fields(
        "fields that cannot be written offered", 'and definition.get("readOnlyValue") is not True', "", "test_fields"
    ),
    in_fields(
        "lists taken for texts", 'multiple=definition.get("multiple") is True, ', "", "test_value_arrives", "test_undo"
    ),
)
NAMED = (
    in_vendor("rows without a trace", ', "traceId": {_quoted(row.trace)}', "", "test_a_refused_row_of_a_batch"),
    in_vendor("one trace for all rows", "{_quoted(row.trace)}", '{_quoted("t")}', "test_a_refused_row_of_a_batch"),
    in_vendor(
        "ids not escaped in a batch",
        '"id": {_quoted(row.record_id)}, "traceId"',
        '"id": "{row.record_id}x", "traceId"',
        "test_batches_land",
    ),
    in_answers(
        "rows matched by position where ids are told",
        '    by_id = match_by(map(vendor.canonical_id, ids), [*records, *_named(vendor, errors, "ids")])\n',
        "    by_id = match_by_position(ids, [one for _, one in records])\n",
        "test_answers_in_any_order",
        "test_batches_land",
    ),
    in_answers(
        "a row that is left out taken for landed",
        "    return [trace if isinstance(trace, CrmError) else one for one, trace in zip(by_id, by_trace, strict=True)]",
        '    by_id = [one or {"id": row} for one, row in zip(by_id, ids, strict=True)]\n    return [trace if isinstance(trace, CrmError) else one for one, trace in zip(by_id, by_trace, strict=True)]',
        "test_a_row_that_is_left_out",
    ),
    in_answers(
        "errors of rows swallowed",
        'errors = objects_of(member(body, "errors"))',
        "errors = []",
        "test_an_unknown_id",
        "test_a_refused_row_of_a_batch",
    ),
    in_answers(
        "errors by trace swallowed",
        '    by_trace = match_by(traces, _named(vendor, errors, "traceId")) if traces else by_id\n',
        "    by_trace = by_id\n",
        "test_a_refused_row_of_a_batch",
    ),
    in_answers("errors by id swallowed", '[*records, *_named(vendor, errors, "ids")]', "records", "test_an_unknown_id"),
    in_answers(
        "any answer to a batch accepted",
        '    if not isinstance(member(body, "results"), list):\n        raise record_error(vendor.display_name, response)\n    records',
        "    records",
        "test_a_lost_answer_of_a_batch",
        "test_foreign_answers_to_a_batch",
    ),
    in_vendor(
        "every echo believed",
        "        return shows(key, sent, record, catalogue)\n",
        "        return echo or shows(key, sent, record, catalogue)\n",
        "test_a_value_that_is_dropped",
    ),
)
STAGED = (
    in_vendor(
        "late wins never refused", 'stage_fields=("stage", "deal_stage"),', "stage_fields=(),", "test_a_late_win"
    ),
    in_vendor(
        "late wins refused under one name of the stage only",
        'stage_fields=("stage", "deal_stage"),',
        'stage_fields=("stage",),',
        "test_a_late_win",
    ),
    in_vendor(
        "the date of a late win not added", '    date_field="date_won",\n', "    date_field=None,\n", "test_a_late_win"
    ),
    in_fields(
        "dates a day off",
        "dt.datetime.combine(day, _NOON, tzinfo=zone(name)).astimezone(dt.UTC)",
        "dt.datetime.combine(day, dt.time(), tzinfo=dt.UTC)",
        "test_the_date_of_a_win",
    ),
    in_fields(
        "midnight of another zone",
        "tzinfo=zone(name)).astimezone(dt.UTC)",
        'tzinfo=zone("Asia/Tokyo")).astimezone(dt.UTC)',
        "test_the_date_of_a_win",
    ),
    in_fields(
        "won and lost swapped",
        '    if stage.get("isWon") == "true":\n        return "won"\n',
        '    if stage.get("isWon") == "true":\n        return "lost"\n',
        "test_stage_types",
    ),
    in_fields(
        "lost taken for active",
        'return "lost" if stage.get("isClosed") == "true" else "active"',
        'return "active"',
        "test_stage_types",
    ),
    in_fields(
        "an unknown stage accepted",
        '    raise InvalidValueError(msg, code="STAGE", field_errors={field.name: problem})',
        '    return Stage(wanted, wanted, "active", "", "sales")',
        "test_unknown_stage",
    ),
    in_fields(
        "a stage without its pipeline",
        ', "pipeline_id": [one.pipeline_id for one in found]}',
        "}",
        "test_written_keys",
        "test_value_arrives",
    ),
    in_fields(
        "a pipeline that nobody is told of", 'also_writes=("pipeline_id",)', "also_writes=()", "test_written_keys"
    ),
)
MUTE = (
    in_answers(
        "no record that is gone in a batch read",
        'gone: Record = {"code": "NOT_FOUND"',
        'gone: Record = {"code": "GONE"',
        "test_reads_of_several_records",
    ),
    in_vendor(
        "values that are not shown said to be shown",
        "    _shows_values = False\n",
        "    _shows_values = True\n",
        "test_value_arrives",
    ),
    in_vendor(
        "the wrong member of rows",
        '"allOrNone": false, "records": ',
        '"allOrNone": false, "inputs": ',
        "test_batches_land",
    ),
    in_vendor("rows that cost nothing", "    _cost_per_row = 1\n", "    _cost_per_row = 0\n", "test_costs"),
    in_vendor(
        "an answer without a body refused",
        "return {} if response.status_code == HTTPStatus.NO_CONTENT else super().read(response)",
        "return super().read(response)",
        "test_value_arrives",
    ),
    in_vendor(
        "no body taken for a record",
        "return {} if response.status_code == HTTPStatus.NO_CONTENT else super().read(response)",
        "return {} if response.ok else super().read(response)",
        "test_undo",
    ),
    in_answers(
        "results in another order",
        "return match_by_position(ids, [_ordered(vendor, one) for one in body])",
        "return match_by_position(ids, [_ordered(vendor, one) for one in reversed(body)])",
        "test_an_unknown_id",
    ),
    in_answers(
        "records in another order",
        "answers = [one if isinstance(one, dict) else _row_error(vendor, gone) for one in body]",
        "answers = [one if isinstance(one, dict) else _row_error(vendor, gone) for one in reversed(body)]",
        "test_reads_of_several_records",
    ),
    in_answers(
        "errors of rows swallowed",
        "    return None if error is None else _row_error(vendor, error)\n",
        "    return None\n",
        "test_an_unknown_id",
        "test_a_refused_row_of_a_batch",
    ),
    in_answers(
        "errors of rows taken for success",
        '    if result.get("success") is True:\n',
        "    if True:\n",
        "test_an_unknown_id",
        "test_a_refused_row_of_a_batch",
    ),
    in_answers(
        "any answer to a batch accepted",
        "    if not isinstance(body, list):\n        raise record_error(vendor.display_name, response)\n    return",
        '    body = body if isinstance(body, list) else [{"success": True, "id": one} for one in ids]\n    return',
        "test_a_lost_answer_of_a_batch",
        "test_foreign_answers_to_a_batch",
    ),
)
FLAT = (
    in_vendor("stages that nobody has", "    documented_fields: tuple[Field, ...] = PLAIN_FIELDS\n", "", "test_fields"),
    in_vendor(
        "calls for what is not there", "    _has_stages = False\n", "    _has_stages = True\n", "test_value_arrives"
    ),
)
EQUIVALENT = {
    "rows guessed where results are missing": "each result has an id, and the session takes none of another row's",
    "values of batches said not to be shown": "they are read afterwards, which is more calls, and as true",
    "no text shown as text": "the API shows no property without a value as an empty text, so the line is for others",
    "a batch of 50 rows": "smaller batches are more calls, and as true",
    "no header for the offset": "Batchly reads none: its account has a zone of its own",
    "pages not told": "Batchly tells no number of pages",
    "a stage key without a won stage in the flat variant": "it has no stages",
}
BATCHLY = Mutated("tests/fake/test_contract.py::TestBatchly", COMMON + NAMED + STAGED, EQUIVALENT)
BATCHLY_MUTE = Mutated("tests/fake/test_contract.py::TestBatchlyMute", MUTE, EQUIVALENT)
BATCHLY_FLAT = Mutated("tests/fake/test_contract.py::TestBatchlyFlat", FLAT, EQUIVALENT)
