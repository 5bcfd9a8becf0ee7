"""Any sequence of runs, outcomes, crashes and human edits, against a simple model of what CRM and ledger must hold."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from airflow_provider_crm.clock import Clock
from airflow_provider_crm.database.database import Database
from airflow_provider_crm.database.field_hashes import FieldHashes
from airflow_provider_crm.database.schema import field_states
from airflow_provider_crm.ledger.claims import Claim, ClaimedRow, DesiredRow, Settlement, Verdict
from airflow_provider_crm.ledger.ledger import Ledger
from airflow_provider_crm.report.combined import combined
from airflow_provider_crm.values.opportunity import Outcome, OutcomeWord

from .conftest import DAY, by_columns

LEASE = 60.0
SENT_WORDS = [OutcomeWord.UPDATED, OutcomeWord.FAILED, OutcomeWord.UNKNOWN, OutcomeWord.REJECTED, OutcomeWord.IGNORED]
LOST = (OutcomeWord.FAILED, OutcomeWord.UNKNOWN)
UNSENT_WORDS = [OutcomeWord.NOT_SENT, OutcomeWord.INVALID]
RECORDS, FIELDS, VALUES = st.sampled_from("rs"), st.sampled_from("fg"), st.sampled_from("123")
DAYS = st.integers(0, 3)
DESIRED_ROWS = st.tuples(RECORDS, st.dictionaries(FIELDS, VALUES, min_size=1), DAYS)


@dataclass
class Sender:
    """A run that has claimed a row and has not settled it."""

    ledger: Ledger
    desired: DesiredRow
    claim: Claim
    deadline: float
    lost: bool = False


class Model(RuleBasedStateMachine):
    """The CRM is a dict; so is what is known for sure about it."""

    def __init__(self):
        super().__init__()
        self.seconds = 0.0
        self.clock = Clock(
            monotonic=lambda: self.seconds, now=lambda: DAY + dt.timedelta(days=100, seconds=self.seconds)
        )
        self.engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool, connect_args={"check_same_thread": False})
        self.database = Database(self.engine, clock=self.clock)
        self.database.open()
        self.crm = {}
        self.edited = set()
        self.acknowledged = {}
        self.claimed = {}
        self.refused = {}
        self.senders = []

    def teardown(self):
        """Close the database."""
        self.engine.dispose()

    @rule(desired_rows=st.lists(DESIRED_ROWS, min_size=1, max_size=4), changes_only=st.booleans(), retry=st.booleans())
    def run_begins(self, desired_rows, changes_only, retry):
        """Claim a batch, which may hold one record several times, and check every verdict."""
        ledger = Ledger(self.database, combine=combined, account="a", run_key="r", lease=LEASE, clock=self.clock)
        wanted = [DesiredRow(record, values, DAY + dt.timedelta(days=day)) for record, values, day in desired_rows]
        if changes_only:
            settled = ledger.unchanged_rows(by_columns(wanted))
            for number in settled:
                self._check(wanted[number], Claim(Verdict.UNCHANGED))
            wanted = [desired for number, desired in enumerate(wanted) if number not in settled]
            self._confirmed(wanted)
        claims = ledger.claim(wanted, changes_only=changes_only, retry_rejected=retry)
        for desired, claim in zip(wanted, claims, strict=True):
            self._check(desired, claim)
            if claim.verdict is Verdict.SEND:
                assert retry or self.refused.get(desired.record_id) != FieldHashes().fingerprint(desired.values)
                for key in claim.fields:
                    self._free(desired.record_id, key)
                    self.claimed[desired.record_id, key] = desired.as_of
                self.senders.append(Sender(ledger, desired, claim, claim.deadline))

    def _check(self, desired, claim):
        field_keys = {key: (desired.record_id, key) for key in desired.values}
        newest = {key: self.claimed.get(field_key, desired.as_of) for key, field_key in field_keys.items()}
        if claim.verdict is Verdict.BUSY:
            assert any(self._holder(*field_key) is not None for field_key in field_keys.values())
            return
        if claim.verdict is Verdict.REFUSED_BEFORE:
            assert self.refused[desired.record_id] == FieldHashes().fingerprint(desired.values)
            return
        assert all(newest[key] > desired.as_of for key in claim.stale)
        assert all(newest[key] <= desired.as_of for key in desired.values if key not in claim.stale)
        for key in desired.values.keys() - claim.fields - claim.stale:
            assert field_keys[key] in self.edited or self.crm[field_keys[key]] == desired.values[key]
            assert self._holder(*field_keys[key]) is None
            self.claimed[field_keys[key]] = desired.as_of

    def _confirmed(self, desired_rows):
        """Of a row that is left, the fields that are held as wanted may have been confirmed; older ones are not."""
        field_keys = {
            (desired.record_id, key): (desired, value)
            for desired in desired_rows
            for key, value in desired.values.items()
        }
        with self.engine.connect() as connection:
            rows = connection.execute(sa.select(field_states)).all()
        for row in rows:
            field_key = row.record_id, row.field
            if field_key in field_keys and row.known and row.claim_token is None:
                desired, value = field_keys[field_key]
                if row.value == value and row.as_of == desired.as_of:
                    assert self.claimed.get(field_key, desired.as_of) <= desired.as_of
                    self.claimed[field_key] = desired.as_of

    def _holder(self, record_id, key):
        """Return the sender that may send this field now."""
        valid = [
            sender
            for sender in self.senders
            if sender.desired.record_id == record_id
            and key in sender.claim.fields
            and not sender.lost
            and sender.deadline > self.seconds
        ]
        assert len(valid) <= 1
        return valid[0] if valid else None

    def _free(self, record_id, key):
        """Nobody else may send the field that was just claimed; who held it before has lost it."""
        assert self._holder(record_id, key) is None
        for sender in self.senders:
            if sender.desired.record_id == record_id and key in sender.claim.fields:
                sender.lost = True

    def _renewed(self, sender):
        """What a sender asks before it sends: whether its claim holds."""
        if sender.deadline <= self.seconds:
            deadline = sender.ledger.renew(sender.desired, sender.claim)
            assert (deadline is None) is sender.lost
            sender.deadline = deadline or sender.deadline
        return sender.deadline > self.seconds and not sender.lost

    def _land(self, sender, keys):
        for key in keys:
            field_key = sender.desired.record_id, key
            assert self.acknowledged.get(field_key, sender.desired.as_of) <= sender.desired.as_of, (
                "older data landed on newer"
            )
            self.crm[field_key] = sender.desired.values[key]
            self.edited.discard(field_key)

    @precondition(lambda self: self.senders)
    @rule(
        which=st.integers(0, 9),
        word=st.sampled_from(SENT_WORDS + UNSENT_WORDS),
        landed=st.sets(FIELDS),
        lost_answer=st.booleans(),
        replaced=st.booleans(),
    )
    def a_row_ends(self, which, word, landed, lost_answer, replaced):  # noqa: C901 - the table of all ends
        """A sender that still may sends, and tells what became of its row; others tell that they were overtaken.

        Some rows land in part. Before any last word an attempt may have landed of which no answer came. A row that is
        rejected may be so because its record is gone; somebody then makes another one of that id. The answer to one
        that was written shows the other fields of the record, too.
        """
        sender = self.senders.pop(which % len(self.senders))
        fields, reached = sender.claim.fields, False
        gone, disproved = False, frozenset()
        if not self._renewed(sender):
            word, written = OutcomeWord.FAILED, frozenset()
        elif word in UNSENT_WORDS and not lost_answer:
            written = frozenset()
        elif word is OutcomeWord.UPDATED:
            written = fields
            self._land(sender, fields)
            disproved = self._shown_otherwise(sender)
        else:
            gone = replaced and word in (OutcomeWord.REJECTED, OutcomeWord.UNKNOWN, OutcomeWord.IGNORED)
            reached = lost_answer or word in LOST
            written = frozenset() if reached or word is OutcomeWord.IGNORED else fields & landed
            self._land(sender, written)
            if reached:
                self._land(sender, fields & landed)
            elif word is OutcomeWord.IGNORED:
                self.crm.update({(sender.desired.record_id, key): "another" for key in fields & landed})
        if gone:
            self._replace(sender.desired.record_id)
        outcome = Outcome(0, sender.desired.record_id, word, "CODE", "reason")
        settlement = Settlement(
            ClaimedRow(sender.desired, sender.claim), outcome, written, doubtful=reached, disproved=disproved, gone=gone
        )
        sender.ledger.settle([settlement])
        self.edited.difference_update((sender.desired.record_id, key) for key in disproved)
        if not sender.lost:
            for key in written:
                self.acknowledged[sender.desired.record_id, key] = sender.desired.as_of
            if word not in (OutcomeWord.UPDATED, *LOST) and not reached:
                self._released(sender, fields - written)
        if word is OutcomeWord.REJECTED:
            self.refused[sender.desired.record_id] = FieldHashes().fingerprint(sender.desired.values)
        elif word is OutcomeWord.UPDATED and sender.claim.refused is not None:
            self.refused.pop(sender.desired.record_id, None)

    def _shown_otherwise(self, sender):
        """What the record shows of the fields that were not sent, as they were known to be as wanted, and is not."""
        desired, claim = sender.desired, sender.claim
        not_sent = desired.values.keys() - claim.fields - claim.stale
        return frozenset(key for key in not_sent if self.crm.get((desired.record_id, key)) != desired.values[key])

    def _replace(self, record_id):
        """Another record of that id, which nobody from here has written; what is known of it is known of no edit."""
        for key in "fg":
            self.crm[record_id, key] = "new"
            self.edited.discard((record_id, key))

    @rule(record=RECORDS)
    def a_plan_finds_no_record(self, record):
        """Nothing is believed of a record that a read did not find."""
        self._replace(record)
        Ledger(self.database, combine=combined, account="a", run_key="p", lease=LEASE, clock=self.clock).forget(
            [record]
        )

    def _released(self, sender, keys):
        """What was claimed in vain does not keep older data out: only what the ledger still says counts."""
        with self.engine.connect() as connection:
            rows = connection.execute(
                sa.select(field_states.c.field, field_states.c.as_of).where(
                    field_states.c.record_id == sender.desired.record_id, field_states.c.field.in_(keys)
                )
            ).all()
        for key, as_of in rows:
            field_key = sender.desired.record_id, key
            assert as_of is None or as_of <= sender.desired.as_of
            assert field_key not in self.acknowledged or as_of >= self.acknowledged[field_key]
            self.claimed.pop(field_key)
            if as_of is not None:
                self.claimed[field_key] = as_of

    @precondition(lambda self: self.senders)
    @rule(which=st.integers(0, 9), landed=st.sets(FIELDS))
    def a_worker_is_killed(self, which, landed):
        """Some of what it sent has landed; its claim stays until the lease runs out."""
        sender = self.senders[which % len(self.senders)]
        if self._renewed(sender):
            self._land(sender, sender.claim.fields & landed)
        self.seconds += LEASE
        self.senders.remove(sender)

    @rule(seconds=st.sampled_from([1.0, LEASE / 2, LEASE]))
    def time_passes(self, seconds):
        """Leases run out."""
        self.seconds += seconds

    @rule(record=RECORDS, field=FIELDS, value=VALUES)
    def somebody_edits(self, record, field, value):
        """A person changes the CRM, which the ledger cannot know."""
        self.crm[record, field] = value
        self.edited.add((record, field))

    @invariant()
    def what_the_ledger_knows_is_what_the_crm_holds(self):
        """A value that counts as known is the CRM's, unless a person changed it; a newer one is never forgotten."""
        with self.engine.connect() as connection:
            rows = connection.execute(sa.select(field_states)).all()
        for row in rows:
            field_key = row.record_id, row.field
            if row.known and row.claim_token is None and field_key not in self.edited:
                assert self.crm[field_key] == row.value
            if field_key in self.acknowledged:
                assert row.as_of >= self.acknowledged[field_key]


TestModel = Model.TestCase
TestModel.settings = settings(
    max_examples=150, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
