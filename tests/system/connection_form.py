"""Airflow's list of connections, as a person uses it."""

from __future__ import annotations

from selenium.webdriver.common.by import By


def row_of(screen, name):
    """The row of a connection in Airflow's list, or None."""
    found = screen.driver.find_elements(By.XPATH, f"//tr[.//*[normalize-space()='{name}']]")
    return found[0] if found else None


def result_of_test(screen, place, name):
    """What Airflow says after a click on the test of a connection."""
    screen.open(f"{place.url}/connections")
    row = screen.wait(lambda: row_of(screen, name))
    row.find_element(By.CSS_SELECTOR, "button[aria-label='Test Connection']").click()
    toasts = "[data-part=root][data-scope=toast]"
    return screen.wait(lambda: [toast.text for toast in screen.all(toasts) if "\n" in toast.text])[0]
