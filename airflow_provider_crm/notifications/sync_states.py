"""The states of a sync, and what a change from one to another is called."""

from __future__ import annotations

import enum
import html
from dataclasses import dataclass
from typing import Literal


class SyncState(enum.StrEnum):
    """The state of a sync after a run: one task of one Dag on one connection, of a mapped task each index by itself."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncChange:
    """A change of a sync's state; templates of notifiers have it as `crm_change`.

    Attributes:
        sync: Dag, task and map index as in run keys, and the connection: the same for all runs of the sync.
        state: The state that begins.
        before: The state that ends; None for the first run, or where it is not known.
        text: What became of the run, as some lines of plain text.
        page: Address of the run on the CRM page; empty where there is none.
    """

    sync: str
    state: SyncState
    before: SyncState | None
    text: str
    page: str = ""

    @property
    def title(self) -> str:
        """Return the change in a few words: `deals/values on crm_default: failed`."""
        word = "recovered" if self.state is SyncState.OK else self.state.value
        return f"{self.sync}: {word}"

    @property
    def mrkdwn(self) -> str:
        """Return title, text and a link in Slack's markup; the text cannot set any of its own."""
        text = _slack(self.text).replace("```", "'''")
        link = f"\n<{_slack(self.page)}|Run on the CRM page>" if self.page else ""
        return f"*{_slack(self.title)}*\n```\n{text}\n```{link}"

    @property
    def mail(self) -> str:
        """Return text and a link as HTML; the text cannot set any of its own."""
        link = f'<p><a href="{html.escape(self.page)}">Run on the CRM page</a></p>' if self.page else ""
        return f"<pre>{html.escape(self.text)}</pre>{link}"

    @property
    def action(self) -> Literal["trigger", "resolve"]:
        """Return PagerDuty's word: a sync that is well again resolves its own alert."""
        return "resolve" if self.state is SyncState.OK else "trigger"

    @property
    def severity(self) -> Literal["info", "warning", "error"]:
        """Return PagerDuty's word for the state."""
        severities: dict[SyncState, Literal["info", "warning", "error"]] = {
            SyncState.OK: "info",
            SyncState.WARNING: "warning",
            SyncState.FAILED: "error",
        }
        return severities[self.state]


def _slack(text: str) -> str:
    """Escape the three characters that Slack reads as its own."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
