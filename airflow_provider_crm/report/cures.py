"""Say what to do about a row that did not land: one sentence for each code."""

from __future__ import annotations

import re
from collections.abc import Mapping

_HTTP = re.compile(r"HTTP_(\d)(\d\d)", re.ASCII)
_SOURCE_VALUE = "Correct the value in the source, or map the column to a field that takes it."
_NEW_KEY = "Put a valid key or token into the Airflow connection, then clear the task."
_RETRY = "Nothing to correct: the task's retry sends the row again."
_RATE = "Nothing to correct: the run goes on when the rate limit allows it; fewer runs at once use less of it."
_REPLAN = "Look at the record in the CRM, then make a new plan."

CURES: Mapping[str, str] = {
    # Ids of rows.
    "NO_ID": "Give the row the id of its record, or leave the row out of the query.",
    "RECORD_ID": "Write the id as text, exactly as the CRM shows it in the address of the record.",
    "DUPLICATE": "Keep one row for each id, such as by a GROUP BY, or pass on_duplicate='last'.",
    "SUPERSEDED": "Nothing to do: a later row of the same record was taken instead.",
    # Values of rows.
    "NULL": "Fill the empty value, or pass nulls='skip' to leave the field alone.",
    "NOT_CLEARABLE": "Fill the empty value, or pass nulls='skip': the CRM does not let this field be empty.",
    "LIST": "Pass one value, or a list in the form that the field takes.",
    "BOOLEAN": "Map the column to a field that takes yes or no, or convert it in the query.",
    "NOT_A_BOOLEAN": "Convert the value to true or false in the query.",
    "CHOICE": "Write one of the options that the CRM lists for the field, or add this option to the CRM.",
    "NOT_TEXT": "Convert the value to text in the query.",
    "TYPE": "Convert the column in the query to text, a number, a date or a boolean.",
    "CURRENCY": "Write a currency that the account uses, by its code of three letters such as EUR.",
    "NOT_A_NUMBER": "Convert the value to a plain number in the query: digits and one decimal point.",
    "NOT_FINITE": "Replace NaN and infinity in the source by a number or by NULL.",
    "NOT_WHOLE": "Round the value to a whole number in the query.",
    "THOUSANDS": "Pass a number instead of text, or remove the separators of thousands.",
    "TOO_LARGE": "Check the unit of the value in the source: no CRM takes a number or an answer of that size.",
    "TOO_PRECISE": "Round the value in the query: a CRM keeps about 15 digits.",
    "ROUNDING": "Round the amount in the query, or pass another rule than rounding='refuse'.",
    "NO_TIMEZONE": "Pass timezone=, or give the value an offset such as +02:00.",
    "DATE_ONLY": "Give the value a time of day, or map the column to a field that takes a date.",
    "NOT_A_DATE": "Write the date as YYYY-MM-DD in the query.",
    "DATE_RANGE": "Correct the year in the source; open ends such as 9999-12-31 are best written as NULL.",
    "DATE_WON": "Map a column to date_won, or pass date_won_default='as_of' or 'server'.",
    "AS_OF": "Give the column with the data time a point in time for every row.",
    "FUTURE_AS_OF": "Correct the data time: it lies ahead of the clock and would shut out all later data.",
    "STAGE": "Write a stage of the pipeline by its label or id, as the CRM shows it.",
    "OWNER": "Write the id or mail address of a user who is active in the CRM.",
    "TIME_ZONE": "Ask an administrator of the CRM which time zone it uses, and pass it as timezone=.",
    "MINOR_UNIT": "Write the amount to a number field of your own: the currency has no cents in this CRM.",
    "UNKNOWN_FIELD": "Correct the field's name in the mapping, or restore the field in the CRM.",
    # The ledger's order.
    "NEWER_DATA": "Nothing to correct: newer data was written. Make a new plan if an approved change did not land.",
    "OVERTAKEN": "Nothing to correct: a later run has written the field, after the lost one.",
    "CLAIM_CLEARED": "Look at the record in the CRM: the cleared value may have been written there.",
    "NOTHING_TO_WRITE": "Nothing to do: every mapped value of the row is empty.",
    "DRY_RUN": "Nothing was sent; run the task without dry_run to write the row.",
    # The vendor's answers.
    "NOT_TAKEN": "Do what the reason says, or leave the value out: the record would keep its own.",
    "NOT_WRITTEN": "Look at the field in the CRM: a rule, a workflow or a permission there changed the value.",
    "OTHER_RECORD": "Correct the id in the source: the CRM answered with another record, such as after a merge.",
    "AMBIGUOUS": "Make the key unique in the CRM, or name the record by its id: which one is meant is not known.",
    "NOT_FOUND": "Correct the id or key in the source, or restore the record: the CRM has none of it.",
    "OBJECT_NOT_FOUND": "Correct the id in the source, or restore the record: the CRM has none of that id.",
    "BAD_REQUEST": "Read in the reason which field the CRM refused, and correct its value in the source.",
    "CONFLICT": "Look at the record: its value changed in the CRM, or another record has this unique value already.",
    "LOCKED": "Nothing to correct: another program was writing the record; the task's retry sends it again.",
    "PROPERTY_DOESNT_EXIST": "Restore the property in the CRM, or map the column to another field.",
    "READ_ONLY_VALUE": "Let the property be edited in the CRM, or map the column to another field.",
    "INVALID_INTEGER": "Write a whole number, or change the type of the property in the CRM.",
    "INVALID_LONG": "Write a whole number, or change the type of the property in the CRM.",
    "INVALID_NUMBER": "Write a number, or change the type of the property in the CRM.",
    "INVALID_DATE": "Write a date, or change the type of the property in the CRM.",
    "INVALID_BOOLEAN": "Write true or false, or change the type of the property in the CRM.",
    "INTERNAL_ERROR": "Nothing to correct: the CRM had an error of its own; the task's retry sends the row again.",
    "ENTITY_IS_DELETED": "Restore the record from the CRM's recycle bin, or leave the row out of the query.",
    "MALFORMED_ID": "Correct the id in the source: it is none of a record in this CRM.",
    "INVALID_CROSS_REFERENCE_KEY": "Correct the id in the column: the running user can see no such record.",
    "INVALID_FIELD": "Create the field in the CRM, or let the running user see it.",
    "INVALID_FIELD_FOR_INSERT_UPDATE": "Let the running user edit the field, or map the column to another one.",
    "FIELD_SECURITY": "Let the running user see and edit the field in the CRM, or map the column to another one.",
    "ID": "Write the id of the other record as text, exactly as the CRM shows it.",
    "SCALE": "Round the value in the query to the decimals that the field keeps.",
    "TOO_LONG": "Shorten the text in the query, or let the field be longer in the CRM.",
    "UNABLE_TO_LOCK_ROW": "Nothing to correct: another program held the record; the task's retry sends it again.",
    "SERVER_UNAVAILABLE": _RETRY,
    "API_TEMPORARILY_UNAVAILABLE": _RETRY,
    "UNKNOWN_EXCEPTION": _RETRY,
    "REQUEST_LIMIT_EXCEEDED": _RATE,
    "STORAGE_LIMIT_EXCEEDED": "Free storage in the CRM, or buy more; then clear the task.",
    # Keys and rights.
    "INVALID_SESSION_ID": _NEW_KEY,
    "HOST": "Write the host that the CRM names into the connection.",
    "API_DISABLED_FOR_ORG": "Let an administrator of the CRM turn its API on, then clear the task.",
    "API_CURRENTLY_DISABLED": "Let an administrator of the CRM turn its API on, then clear the task.",
    "INSUFFICIENT_ACCESS_OR_READONLY": "Give the running user the right to edit the record.",
    "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY": "Give the running user access to the other record.",
    "MISSING_API_KEY": _NEW_KEY,
    "INVALID_API_KEY": _NEW_KEY,
    "EXPIRED_API_KEY": _NEW_KEY,
    "INVALID_AUTHENTICATION": _NEW_KEY,
    "EXPIRED_AUTHENTICATION": _NEW_KEY,
    "AUTHENTICATION_ERROR": "Nothing to correct: the CRM could not check the key; a retry sends the row again.",
    "INVALID_GRANT": "Authorize the app in the CRM again, and store its new refresh token in the connection.",
    "BAD_REFRESH_TOKEN": "Authorize the app in the CRM again, and store its new refresh token in the connection.",
    "REPLACED": "Nothing to correct: the key in the connection was changed during the run; start the task again.",
    "INSUFFICIENT_PERMISSIONS": "Give the key the right to write opportunities, then clear the task.",
    "MISSING_SCOPES": "Add the scopes that the reason names to the app or token, then clear the task.",
    "ACCOUNT_CHANGED": "Check the connection: its key belongs to another account than before.",
    # Limits.
    "RATE_LIMITS": _RATE,
    "RATE_LIMIT_EXCEEDED": _RATE,
    "BUDGET_USED_UP": _RATE,
    "CANARY": "Correct why the first rows did not land, then clear the task: nothing was sent for this row.",
    "GUARDRAIL": "Check the rows: nothing was written. Raise the limit only if the change is meant.",
    # The way to the vendor.
    "UNREACHABLE": "Check the worker's network and the host in the connection; a retry sends the row again.",
    "TIMEOUT": _RETRY,
    "CONNECTION_CUT": _RETRY,
    "NO_RECORD": _RETRY,
    "NO_PROGRESS": "Nothing to correct: the CRM repeats one page of its list; start the task again later.",
    "FOREIGN_ANSWER": "Check proxy and host in the connection: something else than the CRM answered.",
    "REDIRECT": "Correct the host in the connection: the server sends calls to another address.",
    "REQUEST": "Correct the connection: no valid call can be made from its host and key.",
    "TLS": "Install the certificate authority of the server or proxy on the worker, or correct the host.",
    "PROXY": "Correct the name and password of the proxy in the worker's environment.",
    "NO_ANSWER": "Look at the record: it may hold the values. The next run reads the record before it writes.",
    # Ends of runs.
    "OUTAGE": "Nothing to correct: the CRM was not reachable; the task's retry sends what is left.",
    "LEDGER": "Make the ledger's database reachable; the task's retry sends what is left.",
    "SOURCE": "Make the source readable; the task's retry reads it again.",
    "UPLOADED": "Clear the task: it ended before the CRM had written the file with this row.",
    "UPLOAD": "Read why the CRM did not take the file; upload_after=None sends all rows by ordinary calls.",
    "ENDED": "Clear the task: it ended before this row was sent.",
    "TAKEN_OVER": "Nothing to correct: another run wrote this record.",
    "UNEXPECTED": "Read the traceback in the task's log, and report it to the authors of the package.",
    "FENCE_CLEARED": "Nothing to do: an operator let older data be written again.",
    # Plans.
    "NOT_APPROVED": "Approve the plan in Airflow, or make a new one if its rows changed.",
    "NOT_AS_PLANNED": _REPLAN,
    "PARTIAL": "Correct the list in the CRM by hand: a change of a part of it cannot be taken back.",
    "BEFORE_UNKNOWN": "Correct the value in the CRM by hand; pass capture_before=True to be able to take runs back.",
    "HASHED": "Correct the value in the CRM by hand: the ledger has only its hash.",
}
"""What to do, by code; `cure` adds the codes that carry an HTTP status, and those that only a vendor knows."""

_ANY = "Read the reason: the CRM gave it. Correct the value in the source, or the rule in the CRM."
_BY_STATUS = {
    "401": _NEW_KEY,
    "402": "Renew the plan of the CRM's account: it answered that a payment is due.",
    "403": "Give the key the right to write this record and its fields, then clear the task.",
    "404": CURES["NOT_FOUND"],
    "407": CURES["PROXY"],
    "410": CURES["NOT_FOUND"],
    "409": CURES["LOCKED"],
    "423": CURES["LOCKED"],
    "429": _RATE,
}


def cure(code: str) -> str:
    """Return what to do about a row or a run with this code, as a sentence.

    Args:
        code: Of an outcome, an error or a planned field; a vendor may use codes that this package does not know.
    """
    if code in CURES:
        return CURES[code]
    status = _HTTP.fullmatch(code)
    if status is None:
        return _ANY
    return _BY_STATUS.get(status[1] + status[2], _RETRY if status[1] == "5" else _ANY)
