"""Claims about stages, and about the dates of wins."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from airflow_provider_crm.exceptions import InvalidValueError, RejectedError
from airflow_provider_crm.testing.claims.bench_fixture import Claims
from airflow_provider_crm.values.opportunity import OutcomeWord, Update
from airflow_provider_crm.vendors.catalogue import Catalogue
from airflow_provider_crm.vendors.encoding import writes_of

if TYPE_CHECKING:
    from airflow_provider_crm.testing.bench import Bench

NO_STAGE = "No such stage"
DAYS = tuple(map(dt.date.fromisoformat, ("2027-03-01", "2027-03-14", "2027-07-01", "2027-11-07", "2027-12-31")))
"""Days of a year on both sides of DST, and those on which it begins and ends."""


class StageClaims(Claims):
    """Claims about stages, for vendors that have them."""

    def test_stage_types(self, bench: Bench) -> None:
        """A stage is found by its label, and won, lost and active ones are distinguished."""
        types = self._types(bench)
        assert self.subject.stages.keys() == {"won", "lost", "active"}
        assert set(types.values()) == {"won", "lost", "active"}
        for kind, label in self.subject.stages.items():
            assert types[self._stage_of(bench, label)] == kind

    def test_every_stage(self, bench: Bench) -> None:
        """Every stage of the catalogue can be written by its id, and is stored."""
        for stage_id in self._types(bench):
            record_id = bench.add()
            key = self._key(bench)
            bench.write(record_id, {"stage": stage_id})
            record = bench.session.read(record_id, [key])
            assert self.subject.vendor.stored_value(key, record, bench.catalogue) == (stage_id,)

    def test_unknown_stage(self, bench: Bench) -> None:
        """An unknown stage is refused before a call if the vendor lists its stages, else by the vendor itself."""
        self._types(bench)
        record_id, sent = bench.add(), len(bench.sent())
        is_told = bool(self.subject.vendor.catalogue_calls(("stage",)))
        with pytest.raises(InvalidValueError if is_told else RejectedError) as refused:
            bench.write(record_id, {"stage": NO_STAGE})
        assert NO_STAGE in str(refused.value) or not is_told
        assert len(bench.sent()) - sent == (0 if is_told else 1)
        assert bench.sandbox.audit.writes == []

    def test_a_late_win(self, bench: Bench) -> None:
        """A won stage without a date is refused where the vendor would date it today, and the data is old."""
        day, late = dt.date(2026, 3, 1), dt.datetime(2026, 3, 1, 17, tzinfo=dt.UTC)
        for name in self._stage_fields(bench):
            if not self._is_dated_by_vendor(bench, name):
                continue
            for stage in (
                self._won_stages(bench) if name == "stage" else [self._stage_of(bench, self.subject.stages["won"])]
            ):
                record_id, sent = bench.add(), len(bench.sent())
                late_win = bench.update(record_id, {name: stage}, as_of=late)
                (refused,) = bench.push([late_win], date_won_default=None)
                assert (refused.word, refused.code, len(bench.sent())) == (OutcomeWord.INVALID, "DATE_WON", sent)
                (dated,) = bench.push([late_win], date_won_default="as_of")
                if dated.word is OutcomeWord.UPDATED:
                    assert self._won_on(bench, record_id) == day
                else:
                    assert (dated.word, dated.code, len(bench.sent())) == (OutcomeWord.INVALID, "DATE_WON", sent)
                    assert str(day) in dated.reason

    def test_other_late_stages(self, bench: Bench) -> None:
        """A late row of another stage, and a late win that has its date, are not refused."""
        late = dt.datetime(2026, 3, 1, 17, tzinfo=dt.UTC)
        self._types(bench)
        rows: list[dict[str, object]] = [
            {"stage": self.subject.stages["active"]},
            {"stage": self.subject.stages["lost"]},
        ]
        if "date_won" in bench.catalogue.fields:
            rows.append({"stage": self.subject.stages["won"], "date_won": "2026-02-28"})
        for row in rows:
            (outcome,) = bench.push([bench.update(bench.add(), row, as_of=late)], date_won_default=None)
            assert outcome.word is OutcomeWord.UPDATED

    @pytest.mark.parametrize("day", DAYS, ids=str)
    def test_the_date_of_a_win(self, bench: Bench, day: dt.date) -> None:
        """A day is that day to people in the account's zone, on both sides of DST; so is a point in time of theirs."""
        if "date_won" not in bench.catalogue.fields:
            pytest.skip(f"{self.subject.vendor.display_name} has no writable date of a win")
        evening = dt.datetime.combine(day, dt.time(22, 30), tzinfo=ZoneInfo(self.subject.timezone))
        for value in (day, day.isoformat(), evening):
            record_id = bench.add()
            bench.write(record_id, {"date_won": value, "stage": self.subject.stages["won"]})
            assert self._won_on(bench, record_id) == day

    @pytest.mark.parametrize("day", DAYS, ids=str)
    def test_the_date_of_a_win_without_one(self, bench: Bench, day: dt.date) -> None:
        """A win gets the date of the call as people in the account's zone see it, late in their evening, too.

        A vendor that dates wins by a fixed zone gives the date there.
        """
        self._types(bench)
        for hour in (0, 12, 22):
            now = dt.datetime.combine(day, dt.time(hour, 30), tzinfo=ZoneInfo(self.subject.timezone))
            bench.sandbox.clock.set(now)
            record_id = bench.add()
            bench.write(record_id, {"stage": self.subject.stages["won"]})
            expected = now.astimezone(ZoneInfo(self.subject.win_zone or self.subject.timezone)).date()
            assert self._won_on(bench, record_id) in (None, expected)

    def test_without_stages(self, bench: Bench) -> None:
        """The vendor works with a catalogue that has no stage and no date of a win."""
        names = [name for name, field in bench.catalogue.fields.items() if field.name != "stage"]
        bare = Catalogue(
            fields={name: bench.catalogue.fields[name] for name in names if name != "date_won"},
            currency=bench.catalogue.currency,
            facts=bench.catalogue.facts,
        )
        assert bare.stage_key is None
        bench.use(bare)
        name = next(
            name
            for name, one in self.subject.values.items()
            if name in bare.fields and bench.calls("x", {name: one.value})
        )
        row = {name: self.subject.values[name].value}
        (outcome,) = bench.push([bench.update(bench.add(), row, as_of=dt.datetime(2026, 3, 1, tzinfo=dt.UTC))])
        assert outcome.word is OutcomeWord.UPDATED

    def _key(self, bench: Bench) -> str:
        """Return the key of the stage; skip the test if there is none."""
        key = bench.catalogue.stage_key
        if key is None:
            pytest.skip(f"{self.subject.vendor.display_name} has no stages")
        return key

    def _types(self, bench: Bench) -> dict[str, str]:
        """Return the type of each stage, by its id."""
        self._key(bench)
        return {stage.id: stage.type for stage in bench.catalogue.stages}

    def _stage_of(self, bench: Bench, label: str) -> str:
        """Return the stage that a label writes."""
        row = Update(0, "x", {"stage": label})
        return str(writes_of(row, self.subject.vendor, bench.catalogue).columns.values[self._key(bench)][0])

    def _stage_fields(self, bench: Bench) -> list[str]:
        """Return the names of the fields that set the stage."""
        key = self._key(bench)
        return [name for name, field in bench.catalogue.fields.items() if field.target == key]

    def _won_stages(self, bench: Bench) -> list[str]:
        """Return the ids of all stages that win."""
        return [stage for stage, kind in self._types(bench).items() if kind == "won"]

    def _is_dated_by_vendor(self, bench: Bench, name: str) -> bool:
        """Return whether the sandbox dates a win that has no date."""
        record_id = bench.add()
        bench.write(record_id, {name: self._stage_of(bench, self.subject.stages["won"])})
        return self._won_on(bench, record_id) is not None

    def _won_on(self, bench: Bench, record_id: str) -> dt.date | None:
        """Return the date of the win that people see."""
        assert self.subject.won_on is not None, "a vendor with stages needs `Subject.won_on`"
        return self.subject.won_on(bench.account, record_id)
