"""A person finds causes and writers in a few clicks, in a real browser, at a desk and on a phone."""

from __future__ import annotations

import pytest

from airflow_provider_crm.clock import Clock
from airflow_provider_crm.database.database import Database
from airflow_provider_crm.queries.database import LedgerReader, read_only
from tests.system.chromium import PHONE, SIZE, chromium

from .conftest import mounted, token
from .month import Month, add_to_airflow

pytestmark = pytest.mark.long

REFUSED = "oppo_007"
_WIDTHS = "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"


class Clicks:
    """A person with a browser, whose clicks are counted.

    Args:
        screen: The browser.
        url: Address of the overview.
    """

    def __init__(self, screen, url):
        self.screen = screen
        self.url = url
        self.number = 0

    def begin(self):
        """Go to the overview, which is where every task begins."""
        self.screen.open(self.url)
        self.screen.one("main h1")
        self.number = 0

    def on(self, selector):
        """Click the first element of a selector."""
        self.screen.one(selector).click()
        self.number += 1
        self.screen.one("main h1")

    def find(self, record_id):
        """Search a record by the field at the top: one click, on its button."""
        self.screen.type("#find", record_id)
        self.on(".find button")


@pytest.fixture(scope="module")
def person(airflow_with_teams, tmp_path_factory):
    """A reader of the month's pages, who has logged in."""
    import sqlalchemy as sa

    from airflow_provider_crm.ui.app import make_app

    folder, month = tmp_path_factory.mktemp("clicks"), Month()
    writing = Database(sa.create_engine(f"sqlite:///{folder / 'crm_ledger.db'}")).engine
    Database(writing).open()
    month.write(writing)
    add_to_airflow(month, "bundle_sales")
    engine = read_only(writing)
    with (
        mounted(make_app(LedgerReader(lambda: engine), clock=Clock(now=lambda: month.now))) as url,
        chromium(folder, folder / "pictures") as screen,
    ):
        screen.open(f"{url}/crm/static/crm.css")
        screen.driver.add_cookie({"name": "_token", "value": token("anna"), "path": "/"})
        yield Clicks(screen, f"{url}/crm/"), month
    engine.dispose()
    writing.dispose()


@pytest.fixture(params=[(SIZE, "light"), (SIZE, "dark"), (PHONE, "light"), (PHONE, "dark")], ids=str)
def clicks(person, request):
    """The same person at a desk and on a phone, by day and by night."""
    (size, theme), (found, _) = request.param, person
    found.screen.driver.set_window_size(*size)
    found.screen.theme(theme)
    return found


def check_page(clicks):
    """Nothing on the page is a serious barrier, and it needs no scrolling sideways."""
    screen = clicks.screen
    wide, seen = screen.driver.execute_script(_WIDTHS)
    assert wide <= seen
    assert screen.barriers() == []


def test_why_one_deal_was_refused_takes_at_most_three_clicks(clicks, person):
    """From the overview to the last run, whose rows name the deal, its reason and its value, in view as they are."""
    _, month = person
    clicks.begin()
    clicks.on(f"a[href*='{month.deals(0).split('/')[-1].split('+')[0].replace(':', '%3A')}']")
    check_page(clicks)
    row = clicks.screen.one(f"[aria-label='Refused rows'] tr:has(a[href*='{REFUSED}'])")
    assert "deal_currency is EUR, and this organization has USD." in row.text
    assert clicks.number <= 3
    for cell in clicks.screen.all("[aria-label='Refused rows'] td[data-label='Reason']"):
        box = cell.rect
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= clicks.screen.driver.execute_script(_WIDTHS)[1]
    clicks.on("[aria-label='Why rows did not land'] a")
    check_page(clicks)
    assert "Show all rows" in clicks.screen.text()
    assert clicks.number <= 3


def test_who_wrote_a_value_takes_at_most_two_clicks(clicks):
    """One click finds the record, whose page names Dag and run beside each value; the second opens that run."""
    clicks.begin()
    clicks.find("oppo_001")
    check_page(clicks)
    written = clicks.screen.one("td[data-label='Written by']")
    assert "deal_values" in written.text
    assert clicks.number == 1
    clicks.on("td[data-label='Written by'] a")
    check_page(clicks)
    assert clicks.number <= 2


def test_an_id_is_copied(clicks):
    """The button says that it has copied, or that it could not."""
    clicks.begin()
    clicks.find("oppo_001")
    button = clicks.screen.one("h1 button[data-copy]")
    assert button.is_displayed()
    button.click()
    clicks.screen.wait(lambda: button.text in ("Copied", "Not copied"))


def test_a_plan_and_a_running_sync_are_read_by_everybody(clicks, person):
    """No barrier on the page of a waiting plan and of a run that goes on, and no scrolling sideways."""
    _, month = person
    for address in (f"plan?plan_id={month.waiting}", f"run?run_key={month.running.replace('+', '%2B')}"):
        clicks.screen.open(clicks.url + address)
        clicks.screen.one("main h1")
        check_page(clicks)
