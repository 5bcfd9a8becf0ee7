"""A local Salesforce."""
