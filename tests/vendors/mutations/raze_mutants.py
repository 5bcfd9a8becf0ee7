"""Faults in Raze."""

# ruff: noqa: E501 - the texts to replace are lines of the source as they stand

from __future__ import annotations

from tests.vendors.mutations.mutant import Mutant, Mutated

RAZE_MODULE = "airflow_provider_crm.vendors.raze"
ARRIVES, CLEAR = ("test_value_arrives",), ("test_clear",)


def mutant(name, old, new, *claims):
    """Return a fault in the only module of Raze."""
    return Mutant(name, RAZE_MODULE, old, new, claims)


MUTANTS = (
    mutant("no limits told", "return (limits,)", "return ()", "test_limits_are_told"),
    mutant("a 429 without a wait", "wait=wait,", "wait=None,", "test_a_refusal"),
    mutant(
        "the named wait ignored",
        "limit_headers.first_known(named, limit_headers.retry_after(response, now), reset)",
        "limit_headers.first_known(None, 3600.0)",
        "test_a_refusal",
    ),
    mutant(
        "budget_group raises",
        '        return ""\n\n    def limits',
        "        raise ValueError(call)\n\n    def limits",
        "test_groups",
    ),
    mutant(
        "a group for each record",
        '        return ""\n\n    def limits',
        "        return call.path\n\n    def limits",
        "test_groups",
    ),
    mutant("reset as an epoch", "reset=reset,", "reset=limit_headers.number_of(epoch),", "test_limits_are_told"),
    mutant(
        "remaining not told",
        'remaining=limit_headers.calls(headers.get("X-RateLimit-Remaining")),',
        "",
        "test_limits_are_told",
    ),
    mutant(
        "limits swapped",
        'limit=limit_headers.most_calls(headers.get("X-RateLimit-Limit")),',
        'limit=limit_headers.most_calls(headers.get("X-RateLimit-Remaining")),',
        "test_limits_are_told",
    ),
    mutant("late wins never refused", 'stage_fields=("stage", "status"),', "stage_fields=(),", "test_a_late_win"),
    mutant(
        "late wins refused under one name of the stage only",
        'stage_fields=("stage", "status"),',
        'stage_fields=("status",),',
        "test_a_late_win",
    ),
    mutant(
        "a date of a late win that cannot be sent",
        "date_field=None,  # its server stamps `won_at`",
        'date_field="notes",',
        "test_a_late_win",
    ),
    mutant(
        "the refusal of a date does not name it",
        "and {day} cannot be sent; ",
        "and no day can be sent; ",
        "test_a_late_win",
    ),
    mutant(
        "won and lost swapped",
        '_STATUS_TYPES = {"won": "won", "lost": "lost"}',
        '_STATUS_TYPES = {"won": "lost", "lost": "won"}',
        "test_stage_types",
    ),
    mutant(
        "lost taken for active",
        '_STATUS_TYPES = {"won": "won", "lost": "lost"}',
        '_STATUS_TYPES = {"won": "won"}',
        "test_stage_types",
    ),
    mutant(
        "a stage as the row spells it",
        "return stage.strip().lower() if stage.strip().lower() in _STATUSES else stage.strip()",
        "return stage",
        "test_value_arrives",
    ),
    mutant("a list of one page", 'str(int(cursor or "1") + 1) if more else None', "None", "test_a_list_is_whole"),
    mutant("a cursor that is ignored", '"page": cursor or "1"', '"page": "1"', "test_a_list_is_whole"),
    mutant(
        "every second page",
        'str(int(cursor or "1") + 1) if more else None',
        'str(int(cursor or "1") + 2) if more else None',
        "test_a_list_is_whole",
    ),
    mutant(
        "a list that is not flattened",
        "page_records = objects_of(records)",
        'page_records = [{"opportunity": one} for one in objects_of(records)]',
        "test_a_list_is_whole",
    ),
    mutant(
        "pages off by one",
        "None if pages is None else int(pages)",
        "None if pages is None else int(pages) + 1",
        "test_a_list_is_whole",
    ),
    mutant("a list that asks for one page too many", "page < pages", "page <= pages", "test_a_list_is_whole"),
    mutant("filters dropped", 'params={**filters, "page"', 'params={"page"', "test_filters"),
    mutant("amounts times 100", "Kind.MONEY, amount_digits=0", "Kind.MONEY, amount_digits=2", "test_amounts"),
    mutant("money without a unit", "Kind.MONEY, amount_digits=0", "Kind.MONEY", "test_money"),
    mutant(
        "dollars sent as cents",
        "if field.kind is Kind.STAGE else values}",
        "if field.kind is Kind.STAGE else [v and v * 100 for v in values] if field.kind is Kind.MONEY else values}",
        "test_value_arrives",
    ),
    mutant("nothing shown", "return (record[key],) if key in record else ()", "return ()", "test_undo"),
    mutant(
        "every write taken for landed",
        "        return same_value(sent, record[key])\n",
        "        return not echo or same_value(sent, record[key])\n",
        "test_value_arrives",
    ),
    mutant(
        "every echo believed",
        "        return same_value(sent, record[key])\n",
        "        return echo or same_value(sent, record[key])\n",
        "test_a_value_that_is_dropped",
    ),
    mutant(
        "what a record lacks taken for landed",
        "return echo and (key in _NOT_ECHOED",
        "return (key in _NOT_ECHOED",
        "test_a_value_that_is_not_shown",
    ),
    mutant(
        "what an answer lacks taken for landed",
        "key in _NOT_ECHOED or same_value(sent, None)",
        "True",
        "test_a_value_that_is_not_shown",
    ),
    mutant(
        "an answer that leaves keys out refused",
        "key in _NOT_ECHOED or same_value(sent, None)",
        "same_value(sent, None)",
        "test_value_arrives",
    ),
    mutant(
        "a cleared value always believed",
        "        return same_value(sent, record[key])\n",
        "        return sent is None or same_value(sent, record[key])\n",
        "test_clear",
    ),
    mutant(
        "a clear that sends the text null",
        "if field.kind is Kind.STAGE else values}",
        'if field.kind is Kind.STAGE else ["null" if v is None else v for v in values]}',
        "test_clear",
    ),
    mutant(
        "own field names missing", '    Field("status", "status", Kind.STAGE, clearable=False),\n', "", "test_fields"
    ),
    mutant("two fields swapped", 'Field("company", "company")', 'Field("company", "position")', "test_value_arrives"),
    mutant(
        "a personal field that is none",
        'Field("email", "email", personal=True)',
        'Field("email", "email")',
        "test_personal_values",
    ),
    mutant(
        "a field that cannot be cleared offered for it",
        'Field("name", "name", clearable=False, personal=True)',
        'Field("name", "name", personal=True)',
        "test_clear",
    ),
    mutant(
        "the stage in the PUT",
        'if plain := tuple(key for key in keys if key != "status"):',
        "if plain := keys:",
        "test_value_arrives",
    ),
    mutant(
        "only one call of a row",
        "        return tuple(write_calls)",
        "        return tuple(write_calls[:1])",
        "test_a_row_of_all_fields",
    ),
    mutant(
        "a stage said to be safe to send twice",
        '("status",), replayable=False))',
        '("status",)))',
        "test_a_win_that_is_sent_twice",
    ),
    mutant(
        "the wrong method",
        'WriteCall("PATCH", f"{_RECORD}/stage"',
        'WriteCall("PUT", f"{_RECORD}/stage"',
        "test_value_arrives",
    ),
    mutant(
        "an id not encoded",
        "_RECORD.format(path_segment(record_id))",
        "_RECORD.format(record_id)",
        "test_no_id_reaches_another_endpoint",
    ),
    mutant(
        "UUIDs as they are spelt",
        "return canonical_uuid(record_id) or record_id",
        "return record_id",
        "test_an_id_has_one_spelling",
    ),
    mutant(
        "a link that is none",
        "        return\n\n    def read_call",
        '        return f"{origin}/{record_id}"\n\n    def read_call',
        "test_the_page_of_a_record",
    ),
    mutant(
        "the wrong key of ids", 'id_key = "id"', 'id_key = "contact_id"', "test_value_arrives", "test_another_record"
    ),
    mutant(
        "the envelope not checked",
        'if member(body, "success") is not True or not isinstance(data, dict):\n            raise record_error(self.display_name, response)\n        return data',
        "return data",
        "test_no_body_breaks_a_vendor",
    ),
    mutant(
        "any 200 a good probe",
        '        if member(body_of(response), "success") is not True:\n            raise record_error(self.display_name, response)\n',
        "",
        "test_probe_of_another_service",
    ),
    mutant(
        "a probe's error passed over",
        "        if not response.ok:\n            raise self.error(response)\n        if member",
        "        if False and member",
        "test_a_401_stops",
    ),
    mutant(
        "any JSON is the vendor's own error",
        '        if member(body, "success") is not False or not isinstance(error, dict):\n            return foreign_error(self, response)\n',
        "        error = error if isinstance(error, dict) else {}\n",
        "test_a_foreign_answer_is_no_verdict",
    ),
    mutant(
        "a refused key that refuses the row",
        '    "INVALID_API_KEY": AuthenticationError,\n',
        '    "INVALID_API_KEY": RejectedError,\n',
        "test_every_status",
        "test_a_401_stops",
    ),
    mutant("errors without their code", 'code=code or f"HTTP_{response.status_code}",', "", "test_every_status"),
    mutant("errors without their fields", "            field_errors=fields,\n", "", "test_a_refused_row"),
    mutant(
        "long messages", 'text_of(error.get("message"))', 'str(error.get("message"))', "test_a_long_text_is_shortened"
    ),
    mutant(
        "missing credentials passed over",
        "        if not credentials.api_key:\n",
        "        if False:\n",
        "test_missing_credentials",
    ),
    mutant(
        "a header that the vendor does not read",
        '{"X-API-Key": credentials.api_key}',
        '{"X-Key": credentials.api_key}',
        "test_probe",
    ),
    mutant("an older API", "api_version = 1", "api_version = 0", "test_protocol"),
)
EQUIVALENT = {
    "dates a day off": "Raze takes no date: its server stamps the instant of a win",
    "the date of a late win not added": "Raze takes no date; the mutants of the refusal are in its place",
    "an unknown stage accepted": "by design: Raze documents seven stages and may have others, so its server judges",
    "no header for the offset": "Raze reads none",
    "a page of 50 records": "smaller pages are more calls, and the same list",
}
RAZE = Mutated("tests/vendors/test_contract.py::TestRaze", MUTANTS, EQUIVALENT)
