"""The difference between what the rows want and what the CRM holds, before anything is written."""
