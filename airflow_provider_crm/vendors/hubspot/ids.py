"""Spell the ids of deals."""


def canonical_id(record_id: str) -> str:
    """Return an id of digits without zeros in front, as HubSpot shows it; any other id is opaque."""
    return record_id.lstrip("0") or "0" if record_id.isascii() and record_id.isdigit() else record_id
