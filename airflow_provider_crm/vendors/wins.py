"""Describe how a vendor dates a win."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WinRules:
    """The rules of a vendor that dates a win by itself: a won stage without a date gets the date of the call.

    Attributes:
        stage_fields: Names of the fields that set the stage: `stage`, and the vendor's own names of the same key.
        date_field: Name of the field that sets the date of a win, which every account with stages has; None if no
            caller can set it.
        advice: Sentences that say how to write a won stage without a date from old data.
        refusal: Message that refuses to send a date, with `{day}` where the date goes; used without `date_field` only.
        replaces_date: Whether a change of the stage replaces the date that a record has, unless the same call sets it.
    """

    stage_fields: tuple[str, ...]
    date_field: str | None
    advice: str
    refusal: str = ""
    replaces_date: bool = False
