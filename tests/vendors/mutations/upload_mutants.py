"""Faults in uploads: in what fills, sends and settles a file of rows, and in what the ledger keeps of it."""

from __future__ import annotations

from tests.vendors.mutations.mutant import Mutant, Mutated

_PACKAGE = "airflow_provider_crm"
FILES, ENDED = f"{_PACKAGE}.push.uploads", f"{_PACKAGE}.push.ended_uploads"
LEDGER, SALESFORCE = f"{_PACKAGE}.ledger.uploads", f"{_PACKAGE}.vendors.salesforce.uploads"
LAND, REFUSED = "test_all_rows_land[sqlite]", "test_rows_that_do_not_land_are_told_by_calls[sqlite]"
NEWER, DEAD = "test_newer_data_waits_for_a_job[sqlite]", "test_a_worker_that_dies_before_the_file_is_sent[sqlite]"
AGAIN = "test_a_file_that_is_sent_again[sqlite-patch_faults0-Aborted]"
FAILED, NEVER_BEGUN = "test_a_job_that_fails_as_a_whole[sqlite]", "test_a_job_that_is_never_begun[sqlite]"
NOT_TAKEN = "test_a_file_that_is_not_taken[sqlite-http_400]"
MANY = "test_more_rows_than_a_file_takes[sqlite]"

MUTANTS = (
    Mutant(
        "a job taken for landed without a look at its records",
        ENDED,
        "landed = [row for row in rows if self._shows(records[row.record_id], row)]",
        "landed = [*rows]",
        (REFUSED,),
    ),
    Mutant(
        "a row with one refused field called updated",
        ENDED,
        "return all(still_shows(key, text, record, vendor, catalogue)",
        "return any(still_shows(key, text, record, vendor, catalogue)",
        (REFUSED,),
    ),
    Mutant(
        "rows that a job did not write put into a job again",
        ENDED,
        "        self.not_written |= frozenset(left)\n",
        "",
        (FAILED,),
    ),
    Mutant("rows settled while their job runs", ENDED, "if state is UploadState.RUNNING:", "if False:", (NEWER,)),
    Mutant(
        "a job in progress taken for one that has ended",
        SALESFORCE,
        '"InProgress": UploadState.RUNNING',
        '"InProgress": UploadState.ENDED',
        (NEWER,),
    ),
    Mutant(
        "a job that was never begun left to begin",
        ENDED,
        "            state = self._cancelled()\n",
        "            state = UploadState.ENDED\n",
        (NEVER_BEGUN,),
    ),
    Mutant(
        "claims given back while the job runs",
        FILES,
        "        self._file = None\n        try:\n",
        "        self.give_up()\n        try:\n",
        (NEWER,),
    ),
    Mutant(
        "claims of a file that end like those of a call",
        LEDGER,
        "LONGEST = dt.timedelta(days=1)",
        "LONGEST = dt.timedelta(0)",
        (NEWER,),
    ),
    Mutant(
        "another job started while the first one runs",
        LEDGER,
        "uploads.c.stage.in_([UploadStage.FILLING.value, UploadStage.SENT.value])",
        "uploads.c.stage.in_([UploadStage.FILLING.value])",
        (LAND,),
    ),
    Mutant(
        "a file sent that a second try has given up",
        LEDGER,
        "            claim_token, UploadStage.FILLING, stage=UploadStage.SENT.value,",
        "            claim_token, *UploadStage, stage=UploadStage.SENT.value,",
        (DEAD,),
    ),
    Mutant(
        "the last rows of a run left out of its file",
        FILES,
        "        yield from self._filled()\n        self._send()\n",
        "        self._send()\n",
        (NOT_TAKEN,),
    ),
    Mutant(
        "a file of any number of rows",
        FILES,
        "return len(self.lines) + AT_ONCE > self.calls.largest or",
        "return",
        (MANY,),
    ),
    Mutant(
        "no further file after the first one",
        FILES,
        "job.record_id in self._by_calls or self._stops.reason:",
        "job.record_id in self._by_calls or self._stops.reason or self._left == 0:",
        (MANY,),
    ),
    Mutant(
        "a file sent to the same job again",
        FILES,
        "file.vendor_id = self._session.answer(file.calls.opening, file.calls.status).id",
        "self._session.answer(file.calls.opening, file.calls.status)",
        (AGAIN,),
    ),
    Mutant(
        "a job that is not used left open",
        FILES,
        "                self._cancel(file)\n                if number",
        "                if number",
        (AGAIN,),
    ),
)
UPLOADS = Mutated(
    "tests/operators/test_salesforce_uploads.py",
    MUTANTS,
    {},
    sound=(LAND, REFUSED, NEWER, DEAD, AGAIN, FAILED, NEVER_BEGUN, NOT_TAKEN, MANY),
)
