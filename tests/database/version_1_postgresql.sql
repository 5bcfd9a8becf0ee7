CREATE TABLE crm_schema_version (
	version SERIAL NOT NULL, 
	PRIMARY KEY (version)
);
CREATE TABLE crm_runs (
	run_key TEXT NOT NULL, 
	account TEXT NOT NULL, 
	as_of TIMESTAMP WITH TIME ZONE, 
	tries INTEGER NOT NULL, 
	started_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	finished_at TIMESTAMP WITH TIME ZONE, 
	report TEXT, 
	PRIMARY KEY (run_key, account)
);
CREATE INDEX crm_runs_started ON crm_runs (started_at, account, run_key);
CREATE TABLE crm_tries (
	run_key TEXT NOT NULL, 
	account TEXT NOT NULL, 
	number INTEGER NOT NULL, 
	started_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	finished_at TIMESTAMP WITH TIME ZONE, 
	report TEXT, 
	PRIMARY KEY (run_key, account, number)
);
COMMENT ON COLUMN crm_tries.number IS 'From 1; a deferral begins none.';
COMMENT ON COLUMN crm_tries.finished_at IS 'Null while it runs or is deferred, and of one that was killed.';
COMMENT ON COLUMN crm_tries.report IS 'JSON: of this try alone.';
CREATE TABLE crm_field_states (
	account TEXT NOT NULL, 
	record_id TEXT NOT NULL, 
	field TEXT NOT NULL, 
	value TEXT, 
	known BOOLEAN NOT NULL, 
	as_of TIMESTAMP WITH TIME ZONE, 
	run_key TEXT, 
	acknowledged_at TIMESTAMP WITH TIME ZONE, 
	claim_token TEXT, 
	claim_as_of TIMESTAMP WITH TIME ZONE, 
	claim_run_key TEXT, 
	claimed_until TIMESTAMP WITH TIME ZONE, 
	PRIMARY KEY (account, record_id, field)
);
CREATE TABLE crm_changes (
	id BIGSERIAL NOT NULL, 
	run_key TEXT NOT NULL, 
	account TEXT NOT NULL, 
	record_id TEXT NOT NULL, 
	field TEXT NOT NULL, 
	before TEXT, 
	before_known BOOLEAN NOT NULL, 
	after TEXT, 
	outcome TEXT NOT NULL, 
	code TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	at TIMESTAMP WITH TIME ZONE NOT NULL, 
	PRIMARY KEY (id)
);
CREATE INDEX crm_changes_run ON crm_changes (run_key, outcome, id);
CREATE INDEX crm_changes_record ON crm_changes (account, record_id, id);
CREATE TABLE crm_rejects (
	account TEXT NOT NULL, 
	record_id TEXT NOT NULL, 
	fingerprint TEXT NOT NULL, 
	outcome TEXT NOT NULL, 
	code TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	rests BOOLEAN NOT NULL, 
	attempts INTEGER NOT NULL, 
	first_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	last_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	PRIMARY KEY (account, record_id)
);
COMMENT ON COLUMN crm_rejects.rests IS 'Whether these values wait until they change.';
CREATE TABLE crm_tokens (
	name TEXT NOT NULL, 
	access_token TEXT, 
	refresh_token TEXT, 
	expires_at TIMESTAMP WITH TIME ZONE, 
	refreshed_at TIMESTAMP WITH TIME ZONE, 
	asked_at TIMESTAMP WITH TIME ZONE, 
	PRIMARY KEY (name)
);
COMMENT ON COLUMN crm_tokens.name IS 'Vendor, host, OAuth client, SHA-256 of the first token.';
COMMENT ON COLUMN crm_tokens.access_token IS 'Encrypted with Airflow''s Fernet key.';
COMMENT ON COLUMN crm_tokens.refresh_token IS 'The only valid one, encrypted with Airflow''s Fernet key.';
COMMENT ON COLUMN crm_tokens.expires_at IS 'End of the access token.';
COMMENT ON COLUMN crm_tokens.asked_at IS 'When the vendor was last asked; later than refreshed_at if in vain.';
CREATE TABLE crm_accounts (
	vendor TEXT NOT NULL, 
	host TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	name TEXT NOT NULL, 
	account TEXT NOT NULL, 
	since TIMESTAMP WITH TIME ZONE NOT NULL, 
	confirmed_by TEXT, 
	PRIMARY KEY (vendor, host, kind, name)
);
COMMENT ON COLUMN crm_accounts.vendor IS 'One that names no organization.';
COMMENT ON COLUMN crm_accounts.kind IS 'connection or key.';
COMMENT ON COLUMN crm_accounts.name IS 'Of the connection, or a slow hash of the key.';
COMMENT ON COLUMN crm_accounts.account IS 'Name of the account in all other tables.';
COMMENT ON COLUMN crm_accounts.confirmed_by IS 'Who confirmed it; null for what was noted at a first run.';
CREATE TABLE crm_plans (
	plan_id TEXT NOT NULL, 
	account TEXT NOT NULL, 
	run_key TEXT NOT NULL, 
	reverts TEXT, 
	digest TEXT NOT NULL, 
	rows INTEGER NOT NULL, 
	counts TEXT NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	applied_by TEXT, 
	applied_at TIMESTAMP WITH TIME ZONE, 
	PRIMARY KEY (plan_id)
);
COMMENT ON COLUMN crm_plans.run_key IS 'The run that made the plan.';
COMMENT ON COLUMN crm_plans.reverts IS 'The run that it takes back, or null for a plan of new values.';
COMMENT ON COLUMN crm_plans.digest IS 'SHA-256 over account and rows: what was approved.';
COMMENT ON COLUMN crm_plans.rows IS 'Rows of the source: one per opportunity.';
COMMENT ON COLUMN crm_plans.counts IS 'JSON: number of planned fields by verdict.';
COMMENT ON COLUMN crm_plans.applied_by IS 'The only run that may apply it, from its first try on.';
COMMENT ON COLUMN crm_plans.applied_at IS 'When that run had gone through all rows.';
CREATE TABLE crm_plan_rows (
	plan_id TEXT NOT NULL, 
	row_number INTEGER NOT NULL, 
	field TEXT NOT NULL, 
	record_id TEXT NOT NULL, 
	verdict TEXT NOT NULL, 
	before TEXT, 
	after TEXT, 
	as_of TIMESTAMP WITH TIME ZONE, 
	code TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	PRIMARY KEY (plan_id, row_number, field)
);
COMMENT ON COLUMN crm_plan_rows.row_number IS 'Row of the source, from 0.';
COMMENT ON COLUMN crm_plan_rows.field IS 'The vendor''s key; empty if it is about the whole row.';
COMMENT ON COLUMN crm_plan_rows.verdict IS 'update, unchanged, stale, invalid, missing or conflict.';
COMMENT ON COLUMN crm_plan_rows.before IS 'JSON: what the CRM held at the time; SQL null if it did not tell.';
COMMENT ON COLUMN crm_plan_rows.after IS 'JSON: what is to be written; SQL null if there is no such value.';
COMMENT ON COLUMN crm_plan_rows.as_of IS 'Data time of the row.';
CREATE TABLE crm_plan_reads (
	run_key TEXT NOT NULL, 
	account TEXT NOT NULL, 
	record_id TEXT NOT NULL, 
	record TEXT NOT NULL, 
	read_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	PRIMARY KEY (run_key, account, record_id)
);
COMMENT ON COLUMN crm_plan_reads.run_key IS 'The run that is making a plan.';
COMMENT ON COLUMN crm_plan_reads.record_id IS 'Empty for how far the list was read.';
COMMENT ON COLUMN crm_plan_reads.record IS 'JSON: what the CRM showed; null for no such record.';
CREATE TABLE crm_budgets (
	name TEXT NOT NULL, 
	number BIGINT NOT NULL, 
	call_limit BIGINT NOT NULL, 
	granted BIGINT NOT NULL, 
	counted BIGINT NOT NULL, 
	strangers BIGINT NOT NULL, 
	opened_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	ends_at TIMESTAMP WITH TIME ZONE, 
	length FLOAT NOT NULL, 
	found TEXT NOT NULL, 
	PRIMARY KEY (name)
);
COMMENT ON COLUMN crm_budgets.name IS 'Vendor, host, SHA-256 of the key, endpoint group.';
COMMENT ON COLUMN crm_budgets.number IS 'Of the vendor''s present window, counted here.';
COMMENT ON COLUMN crm_budgets.call_limit IS 'Calls per window, as the vendor told.';
COMMENT ON COLUMN crm_budgets.granted IS 'Calls given to workers in this window.';
COMMENT ON COLUMN crm_budgets.counted IS 'Calls that the vendor has counted in it.';
COMMENT ON COLUMN crm_budgets.strangers IS 'Calls of other programs that are expected in it.';
COMMENT ON COLUMN crm_budgets.ends_at IS 'Its latest end; null until an answer tells.';
COMMENT ON COLUMN crm_budgets.length IS 'Seconds that windows last.';
COMMENT ON COLUMN crm_budgets.found IS 'What refusals tell of a limit that no answer tells: JSON.';
ALTER TABLE crm_field_states SET (fillfactor = 70);
