"""The example DAGs at work: real Airflow, local CRMs, a warehouse with planted faults, all of it checked.

`python -m airflow_provider_crm.demo` runs it. It needs no network and no account, leaves nothing behind, and fails if
anything differs from the plan. Nothing here uses the code that it demonstrates: DAGs run in a process of their own, and
results are read back over HTTP.
"""
