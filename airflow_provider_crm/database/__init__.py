"""The tables of the ledger, and the differences between databases."""
