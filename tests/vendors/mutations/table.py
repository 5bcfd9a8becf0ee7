"""All vendors, uploads, and the faults that are put into them."""

from __future__ import annotations

from tests.vendors.mutations.batchly_mutants import BATCHLY, BATCHLY_FLAT, BATCHLY_MUTE
from tests.vendors.mutations.close_mutants import CLOSE
from tests.vendors.mutations.hubspot_mutants import HUBSPOT
from tests.vendors.mutations.raze_mutants import RAZE
from tests.vendors.mutations.salesforce_mutants import SALESFORCE
from tests.vendors.mutations.upload_mutants import UPLOADS

MUTATED = (CLOSE, RAZE, HUBSPOT, SALESFORCE, BATCHLY, BATCHLY_MUTE, BATCHLY_FLAT, UPLOADS)
