"""Faults in Salesforce."""

# ruff: noqa: E501 - the texts to replace are lines of the source as they stand

from __future__ import annotations

from tests.vendors.mutations.mutant import Mutant, Mutated

_PACKAGE = "airflow_provider_crm.vendors.salesforce"
API, FIELDS, VALUES = f"{_PACKAGE}.api", f"{_PACKAGE}.fields", f"{_PACKAGE}.values"
ERRORS, BATCHES, IDS, TOKENS = f"{_PACKAGE}.errors", f"{_PACKAGE}.batches", f"{_PACKAGE}.ids", f"{_PACKAGE}.tokens"
ARRIVES = ("test_value_arrives",)
LOOKUPS = f"{_PACKAGE}.lookups"
FOUND = ("test_a_record_is_found_by_a_value",)

MUTANTS = (
    Mutant(
        "late wins never refused",
        API,
        'stage_fields=("stage", "StageName"),',
        "stage_fields=(),",
        ("test_a_late_win",),
    ),
    Mutant(
        "late wins refused under one name of the stage only",
        API,
        'stage_fields=("stage", "StageName"),',
        'stage_fields=("stage",),',
        ("test_a_late_win",),
    ),
    Mutant("the date of a late win not added", API, 'date_field="date_won",', "date_field=None,", ("test_a_late_win",)),
    Mutant(
        "every stage open",
        FIELDS,
        '    return "won" if row.get("IsWon") is True else "lost"',
        '    return "active"',
        ("test_stage_types",),
    ),
    Mutant(
        "lost stages won",
        FIELDS,
        '    return "won" if row.get("IsWon") is True else "lost"',
        '    return "won"',
        ("test_stage_types",),
    ),
    Mutant(
        "an unknown stage accepted",
        VALUES,
        '    problem = "is no active stage of this org; it has"\n',
        '    if catalogue.stages:\n        return catalogue.stages[0]\n    problem = "is no active stage of this org; it has"\n',
        ("test_unknown_stage",),
    ),
    Mutant(
        "amounts in cents",
        VALUES,
        "    if isinstance(value, (int, Decimal)):\n        return _number(field, value, catalogue)",
        "    if isinstance(value, (int, Decimal)):\n        return _number(field, value * 100 if field.kind is Kind.MONEY else value, catalogue)",
        ("test_amounts", "test_value_arrives"),
    ),
    Mutant("nothing shown", VALUES, "    if key not in record:\n        return ()\n", "    return ()\n", ARRIVES),
    Mutant(
        "everything written",
        API,
        "        return shows(key, sent, record, catalogue)",
        "        return True",
        ("test_value_arrives", "test_a_value_that_is_dropped"),
    ),
    Mutant(
        "what is not shown written",
        VALUES,
        "    return bool(values) and same_value(",
        "    return not values or same_value(",
        ("test_a_value_that_is_not_shown",),
    ),
    Mutant(
        "lists with commas",
        VALUES,
        'return ";".join(map(str, value)) or None',
        'return ",".join(map(str, value)) or None',
        ARRIVES,
    ),
    Mutant(
        "a list shown as one text",
        VALUES,
        "    if field is not None and field.multiple and isinstance(value, str):",
        "    if False:",
        ARRIVES,
    ),
    Mutant("labels not found", VALUES, "[own for own, label in pairs if label == wanted]", "[]", ARRIVES),
    Mutant(
        "short ids written as they are",
        VALUES,
        "    return canonical_id(wanted)\n",
        "    return wanted\n",
        ARRIVES,
    ),
    Mutant(
        "points in time in the zone of the row",
        VALUES,
        "value.astimezone(dt.UTC).replace(microsecond=0)",
        "value.replace(tzinfo=dt.UTC).replace(microsecond=0)",
        ARRIVES,
    ),
    Mutant(
        "fields of the org missing",
        FIELDS,
        "            fields[name] = _field(name, kind, definition)",
        "            pass",
        ("test_fields",),
    ),
    Mutant(
        "read-only fields offered",
        FIELDS,
        '        elif kind is None or definition.get("updateable") is not True:',
        "        elif kind is None:",
        ("test_fields",),
    ),
    Mutant(
        "phone numbers in logs",
        FIELDS,
        'personal=shape in _PERSONAL or definition.get("encrypted") is True,',
        "personal=False,",
        ("test_personal_values", "test_fields"),
    ),
    Mutant(
        "another unit for one name of the amount",
        FIELDS,
        "    Field(AMOUNT, AMOUNT, Kind.MONEY, amount_digits=0),",
        "    Field(AMOUNT, AMOUNT, Kind.MONEY, amount_digits=2),",
        ("test_money", "test_value_arrives"),
    ),
    Mutant(
        "all rows or none",
        BATCHES,
        """    return f'{{"allOrNone": false, "records": [{", ".join(records)}]}}'""",
        """    return f'{{"allOrNone": true, "records": [{", ".join(records)}]}}'""",
        ("test_a_refused_row_of_a_batch", "test_an_unknown_id"),
    ),
    Mutant(
        "rows without ids",
        BATCHES,
        """f'{_ATTRIBUTES}, "id": {_quoted(row.record_id)}'""",
        """f'{_ATTRIBUTES}'""",
        ("test_batches_land",),
    ),
    Mutant(
        "a row's failure taken for success",
        BATCHES,
        '    if member(result, "success") is True:',
        '    if member(result, "success") is not None:',
        ("test_a_refused_row_of_a_batch", "test_an_unknown_id"),
    ),
    Mutant(
        "any answer to a batch accepted",
        BATCHES,
        "        raise error or record_error(vendor.display_name, response)\n",
        '        return [{"Id": row.record_id} for row in rows]\n',
        ("test_foreign_answers_to_a_batch",),
    ),
    Mutant(
        "a batch larger than allowed",
        BATCHES,
        "LARGEST_WRITE, LARGEST_READ = 200, 2_000",
        "LARGEST_WRITE, LARGEST_READ = 201, 2_000",
        ("test_batches_land",),
    ),
    Mutant(
        "fields not named in batched reads",
        BATCHES,
        '    names = dict.fromkeys(("Id", *keys))\n',
        '    names = dict.fromkeys(("Id",))\n',
        ("test_reads_of_several_records", "test_batches_land"),
    ),
    Mutant(
        "a missing record shown as an empty one",
        BATCHES,
        "    if shown is not None:\n        return None\n    status, code",
        '    if shown is None:\n        return {"Id": record_id}\n    status, code',
        ("test_reads_of_several_records",),
    ),
    Mutant(
        "any body an error of Salesforce",
        ERRORS,
        '    if not errors or not isinstance(errors[0].get("errorCode"), str) or not isinstance(errors[0].get("message"), str):\n        return None\n    return errors[0]',
        '    return errors[0] if errors else {"errorCode": "", "message": ""}',
        ("test_a_foreign_answer_is_no_verdict",),
    ),
    Mutant(
        "every error about the row",
        ERRORS,
        "    return (kind or error_class(status))(",
        "    return RejectedError(",
        ("test_every_status",),
    ),
    Mutant(
        "errors of fields without their names",
        ERRORS,
        '        field_errors=dict.fromkeys(names, message.rstrip(".")),',
        "        field_errors={},",
        ("test_a_refused_row", "test_a_refused_row_of_a_batch"),
    ),
    Mutant(
        "ids in the case that they came in",
        IDS,
        "    short = _restored(short, ending) if ending else short\n",
        "",
        ("test_an_id_has_one_spelling",),
    ),
    Mutant(
        "short ids kept short",
        IDS,
        "    return _long(record_id) or record_id",
        "    return record_id",
        ("test_an_id_has_one_spelling",),
    ),
    Mutant(
        "an id that leads elsewhere",
        API,
        '        return Call("GET", paths.RECORD.format(path_segment(record_id)), params=named)',
        '        return Call("GET", paths.RECORD.format(record_id), params=named)',
        ("test_no_id_reaches_another_endpoint",),
    ),
    Mutant(
        "a page by any id",
        API,
        "/lightning/r/Opportunity/{path_segment(record_id)}/view",
        "/lightning/r/Opportunity/{record_id}/view",
        ("test_the_page_of_a_record",),
    ),
    Mutant(
        "a connection test that any service passes",
        API,
        "        if catalogue.organization is None:\n",
        "        if False:\n",
        ("test_probe_of_another_service",),
    ),
    Mutant(
        "a 401 passed over in the connection test",
        API,
        "            raise self.error(response)\n",
        "            pass\n",
        ("test_a_401_stops",),
    ),
    Mutant(
        "a token in a problem",
        TOKENS,
        'an access token is set; keep one of them"]',
        'the access token {credentials.api_key} is set; keep one of them"]',
        ("test_credentials_are_hidden",),
    ),
    Mutant("an older API", API, "api_version = 1", "api_version = 0", ("test_protocol",)),
    Mutant("another name", API, 'name = "crm_salesforce"', 'name = "crm_salesforces"', ("test_one_name",)),
    Mutant("a quote that ends a literal", LOOKUPS, """.replace("'", "\\\\'")""", "", FOUND),
    Mutant("a backslash that escapes", LOOKUPS, """.replace("\\\\", "\\\\\\\\")""", "", FOUND),
    Mutant("the field of a lookup not read", LOOKUPS, "SELECT Id, {name} FROM", "SELECT Id FROM", FOUND),
    Mutant("texts taken for numbers", LOOKUPS, "    if is_number:", "    if not is_number:", FOUND),
)
EQUIVALENT = {
    "one currency for all records of an org that has several": "the contract compares no currencies of records; the tests of Salesforce do",
    "success without a look at what the record holds": "the records are then read by a call of their own; the tests of Salesforce count calls",
    "a list that ends after its first page": "a page has 2,000 records, more than the contract makes; the tests of Salesforce read two",
    "stages by their value only": "the stages of the sandbox have one text for both; the tests of Salesforce give them API names",
    "own names missing": "the description of an opportunity names them, too",
    "no limit of the day": "the contract uses none up; the tests of Salesforce hold it to the header",
    "numbers that are not rounded": "the org rounds half up as well; the tests of Salesforce hold values to the scale",
    "no header for the offset": "Salesforce's dates have no zone, and its moments one of their own",
}
SALESFORCE = Mutated("tests/vendors/test_contract.py::TestSalesforce", MUTANTS, EQUIVALENT)
