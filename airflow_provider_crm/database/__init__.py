"""The tables of the ledger, and what databases differ in."""
