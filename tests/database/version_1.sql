BEGIN TRANSACTION;
CREATE TABLE crm_accounts (
	vendor TEXT NOT NULL, 
	host TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	name TEXT NOT NULL, 
	account TEXT NOT NULL, 
	since DATETIME NOT NULL, 
	confirmed_by TEXT, 
	PRIMARY KEY (vendor, host, kind, name)
);
INSERT INTO "crm_accounts" VALUES('raze','127.0.0.1:39879','connection','raze_default','raze:127.0.0.1:39879:raze_default','2026-11-28 17:37:59.435147',NULL);
INSERT INTO "crm_accounts" VALUES('raze','127.0.0.1:39879','key','360dd8cac7bac9e9e78e6ef58d23e67cce8aa90c44c68fc05323bfdde81ba58b','raze:127.0.0.1:39879:raze_default','2026-11-28 17:37:59.436161',NULL);
CREATE TABLE crm_budgets (
	name TEXT NOT NULL, 
	number BIGINT NOT NULL, 
	call_limit BIGINT NOT NULL, 
	granted BIGINT NOT NULL, 
	counted BIGINT NOT NULL, 
	strangers BIGINT NOT NULL, 
	opened_at DATETIME NOT NULL, 
	ends_at DATETIME, 
	length FLOAT NOT NULL, 
	found TEXT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "crm_budgets" VALUES('close:127.0.0.1:39879:d541f29f217aeb0098deba3baeedac280d879ea3348cd705cb39047a7dad7ffc:me read',0,0,6,0,0,'1970-01-01 00:00:00.000000',NULL,0.0,'{"rate": null, "refused_rate": 0.0, "closed_for": 1.0, "since": null, "begun": null, "accepted": 0, "next_at": 1795887479.061202}');
INSERT INTO "crm_budgets" VALUES('close:127.0.0.1:39879:d541f29f217aeb0098deba3baeedac280d879ea3348cd705cb39047a7dad7ffc:opportunity write',1,1000000,1,0,0,'2026-11-28 17:37:59.017266',NULL,0.997,'{"rate": null, "refused_rate": 0.0, "closed_for": 1.0, "since": null, "begun": null, "accepted": 0, "next_at": 1795887478.987266}');
INSERT INTO "crm_budgets" VALUES('close:127.0.0.1:39879:d541f29f217aeb0098deba3baeedac280d879ea3348cd705cb39047a7dad7ffc:opportunity read',4,1000000,0,0,0,'2026-11-28 17:37:59.224562',NULL,0.005,'{"rate": null, "refused_rate": 0.0, "closed_for": 1.0, "since": null, "begun": null, "accepted": 0, "next_at": 1795887479.144283}');
INSERT INTO "crm_budgets" VALUES('raze:127.0.0.1:39879:177cbc123cfb06a1b53167084d0ff23d3ccad542ed3527686388c030e0eae04d:',0,0,1,0,0,'1970-01-01 00:00:00.000000',NULL,0.0,'{"rate": null, "refused_rate": 0.0, "closed_for": 1.0, "since": null, "begun": null, "accepted": 0, "next_at": 1795887479.461324}');
INSERT INTO "crm_budgets" VALUES('close:api.example.com:abababababababababababababababababababababababababababababababab:requests',0,0,1,0,7,'1970-01-01 00:00:00.000000',NULL,0.0,'{"rate": 1.5078536120835306, "refused_rate": 0.0, "closed_for": 1.0, "since": 1795887480.2113469, "begun": 1795887478.2099228, "accepted": 3, "next_at": 1795887480.952615}');
CREATE TABLE crm_changes (
	id INTEGER NOT NULL, 
	run_key TEXT NOT NULL, 
	account TEXT NOT NULL, 
	record_id TEXT NOT NULL, 
	field TEXT NOT NULL, 
	"before" TEXT, 
	before_known BOOLEAN NOT NULL, 
	"after" TEXT, 
	outcome TEXT NOT NULL, 
	code TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	at DATETIME NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "crm_changes" VALUES(1,'dag/write/2026-03-01','close:127.0.0.1:39879:orga_sandbox','oppo_0','value',NULL,0,'100','updated','','','2026-11-28 17:37:58.158140');
INSERT INTO "crm_changes" VALUES(2,'dag/write/2026-03-01','close:127.0.0.1:39879:orga_sandbox','oppo_0','note',NULL,0,'"n"','updated','','','2026-11-28 17:37:58.158140');
INSERT INTO "crm_changes" VALUES(3,'dag/write/2026-03-01','close:127.0.0.1:39879:orga_sandbox','oppo_1','value',NULL,0,'200','updated','','','2026-11-28 17:37:58.158140');
INSERT INTO "crm_changes" VALUES(4,'dag/write/2026-03-01','close:127.0.0.1:39879:orga_sandbox','oppo_1','note',NULL,0,'"two"','updated','','','2026-11-28 17:37:58.158140');
INSERT INTO "crm_changes" VALUES(5,'dag/write/2026-03-01','close:127.0.0.1:39879:orga_sandbox','oppo_gone','value',NULL,0,'300','rejected','NOT_FOUND','Close answered 404: Empty query: Opportunity matching query does not exist.','2026-11-28 17:37:58.167062');
INSERT INTO "crm_changes" VALUES(6,'dag/write/2026-03-01','close:127.0.0.1:39879:orga_sandbox','oppo_gone','note',NULL,0,'"x"','rejected','NOT_FOUND','Close answered 404: Empty query: Opportunity matching query does not exist.','2026-11-28 17:37:58.167062');
INSERT INTO "crm_changes" VALUES(7,'dag/write/2026-03-01','close:127.0.0.1:39879:orga_sandbox','oppo_gone','value',NULL,0,'300','rejected','NOT_FOUND','Close answered 404: Empty query: Opportunity matching query does not exist.','2026-11-28 17:37:58.381161');
INSERT INTO "crm_changes" VALUES(8,'dag/write/2026-03-01','close:127.0.0.1:39879:orga_sandbox','oppo_gone','note',NULL,0,'"x"','rejected','NOT_FOUND','Close answered 404: Empty query: Opportunity matching query does not exist.','2026-11-28 17:37:58.381161');
INSERT INTO "crm_changes" VALUES(9,'dag/write/2026-03-02','close:127.0.0.1:39879:orga_sandbox','oppo_0','value','100',1,'500','updated','','','2026-11-28 17:37:58.539290');
INSERT INTO "crm_changes" VALUES(10,'dag/apply/2026-03-03','close:127.0.0.1:39879:orga_sandbox','oppo_1','value','200',1,'700','updated','','','2026-11-28 17:37:59.006632');
INSERT INTO "crm_changes" VALUES(11,'dag/apply/2026-03-03','close:127.0.0.1:39879:orga_sandbox','oppo_1','note','"two"',1,'"seven"','updated','','','2026-11-28 17:37:59.006632');
INSERT INTO "crm_changes" VALUES(12,'dag/apply/2026-03-03','close:127.0.0.1:39879:orga_sandbox','oppo_2','value','100',1,'800','updated','','','2026-11-28 17:37:59.021299');
INSERT INTO "crm_changes" VALUES(13,'dag/raze/2026-03-01','raze:127.0.0.1:39879:raze_default','opp_0','deal_value',NULL,0,'5','updated','','','2026-11-28 17:37:59.505358');
CREATE TABLE crm_field_states (
	account TEXT NOT NULL, 
	record_id TEXT NOT NULL, 
	field TEXT NOT NULL, 
	value TEXT, 
	known BOOLEAN NOT NULL, 
	as_of DATETIME, 
	run_key TEXT, 
	acknowledged_at DATETIME, 
	claim_token TEXT, 
	claim_as_of DATETIME, 
	claim_run_key TEXT, 
	claimed_until DATETIME, 
	PRIMARY KEY (account, record_id, field)
);
INSERT INTO "crm_field_states" VALUES('close:127.0.0.1:39879:orga_sandbox','oppo_0','note','"n"',1,'2026-03-03 00:00:00.000000','dag/apply/2026-03-03','2026-11-28 17:37:58.877396',NULL,NULL,NULL,NULL);
INSERT INTO "crm_field_states" VALUES('close:127.0.0.1:39879:orga_sandbox','oppo_0','value','500',1,'2026-03-03 00:00:00.000000','dag/apply/2026-03-03','2026-11-28 17:37:58.877396',NULL,NULL,NULL,NULL);
INSERT INTO "crm_field_states" VALUES('close:127.0.0.1:39879:orga_sandbox','oppo_1','note','"seven"',1,'2026-03-03 00:00:00.000000','dag/apply/2026-03-03','2026-11-28 17:37:59.006632',NULL,NULL,NULL,NULL);
INSERT INTO "crm_field_states" VALUES('close:127.0.0.1:39879:orga_sandbox','oppo_1','value','700',1,'2026-03-03 00:00:00.000000','dag/apply/2026-03-03','2026-11-28 17:37:59.006632',NULL,NULL,NULL,NULL);
INSERT INTO "crm_field_states" VALUES('close:127.0.0.1:39879:orga_sandbox','oppo_gone','note',NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "crm_field_states" VALUES('close:127.0.0.1:39879:orga_sandbox','oppo_gone','value',NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "crm_field_states" VALUES('close:127.0.0.1:39879:orga_sandbox','oppo_2','note','"n"',1,'2026-03-03 00:00:00.000000','dag/apply/2026-03-03','2026-11-28 17:37:58.877396',NULL,NULL,NULL,NULL);
INSERT INTO "crm_field_states" VALUES('close:127.0.0.1:39879:orga_sandbox','oppo_2','value','800',1,'2026-03-03 00:00:00.000000','dag/apply/2026-03-03','2026-11-28 17:37:59.021299',NULL,NULL,NULL,NULL);
INSERT INTO "crm_field_states" VALUES('raze:127.0.0.1:39879:raze_default','opp_0','deal_value','5',1,'2026-03-01 00:00:00.000000','dag/raze/2026-03-01','2026-11-28 17:37:59.505358',NULL,NULL,NULL,NULL);
INSERT INTO "crm_field_states" VALUES('close:127.0.0.1:39879:orga_sandbox','oppo_3','value',NULL,0,NULL,NULL,NULL,'118b3912370b4d2bad04af55cc8f94df','2026-03-05 00:00:00.000000','dag/write/2026-03-05','2121-12-22 22:57:59.559120');
INSERT INTO "crm_field_states" VALUES('close:127.0.0.1:39879:orga_sandbox','oppo_2','custom.killed',NULL,0,NULL,NULL,NULL,'5f3d4fa583a04390be6ed06962f3d22c','2026-03-04 00:00:00.000000','dag/write/2026-03-04','2026-11-28 17:37:59.582545');
CREATE TABLE crm_plan_reads (
	run_key TEXT NOT NULL, 
	account TEXT NOT NULL, 
	record_id TEXT NOT NULL, 
	record TEXT NOT NULL, 
	read_at DATETIME NOT NULL, 
	PRIMARY KEY (run_key, account, record_id)
);
INSERT INTO "crm_plan_reads" VALUES('dag/plan/2026-03-05','close:127.0.0.1:39879:orga_sandbox','','{"keys": "[\"value\"]", "pages": 0, "over": false}','2026-11-28 17:37:59.582299');
INSERT INTO "crm_plan_reads" VALUES('dag/plan/2026-03-05','close:127.0.0.1:39879:orga_sandbox','oppo_0','{"value": 500}','2026-11-28 17:37:59.582299');
INSERT INTO "crm_plan_reads" VALUES('dag/plan/2026-03-05','close:127.0.0.1:39879:orga_sandbox','oppo_9','null','2026-11-28 17:37:59.582299');
CREATE TABLE crm_plan_rows (
	plan_id TEXT NOT NULL, 
	row_number INTEGER NOT NULL, 
	field TEXT NOT NULL, 
	record_id TEXT NOT NULL, 
	verdict TEXT NOT NULL, 
	"before" TEXT, 
	"after" TEXT, 
	as_of DATETIME, 
	code TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	PRIMARY KEY (plan_id, row_number, field)
);
INSERT INTO "crm_plan_rows" VALUES('a34e034dab9f419a9f4667216cc77be8',0,'note','oppo_0','unchanged','"n"','"n"','2026-03-03 00:00:00.000000','','');
INSERT INTO "crm_plan_rows" VALUES('a34e034dab9f419a9f4667216cc77be8',0,'value','oppo_0','unchanged','500','500','2026-03-03 00:00:00.000000','','');
INSERT INTO "crm_plan_rows" VALUES('a34e034dab9f419a9f4667216cc77be8',1,'note','oppo_1','update','"two"','"seven"','2026-03-03 00:00:00.000000','','');
INSERT INTO "crm_plan_rows" VALUES('a34e034dab9f419a9f4667216cc77be8',1,'value','oppo_1','update','200','700','2026-03-03 00:00:00.000000','','');
INSERT INTO "crm_plan_rows" VALUES('a34e034dab9f419a9f4667216cc77be8',2,'note','oppo_2','unchanged','"n"','"n"','2026-03-03 00:00:00.000000','','');
INSERT INTO "crm_plan_rows" VALUES('a34e034dab9f419a9f4667216cc77be8',2,'value','oppo_2','update','100','800','2026-03-03 00:00:00.000000','','');
INSERT INTO "crm_plan_rows" VALUES('1006c4b14b1142f194cbb399f15aaa6e',0,'note','oppo_1','update','"seven"','"seventy"','2026-03-04 00:00:00.000000','','');
INSERT INTO "crm_plan_rows" VALUES('1006c4b14b1142f194cbb399f15aaa6e',0,'value','oppo_1','update','700','7000','2026-03-04 00:00:00.000000','','');
INSERT INTO "crm_plan_rows" VALUES('1006c4b14b1142f194cbb399f15aaa6e',1,'note','oppo_2','update','"n"','"eighty"','2026-03-04 00:00:00.000000','','');
INSERT INTO "crm_plan_rows" VALUES('1006c4b14b1142f194cbb399f15aaa6e',1,'value','oppo_2','update','800','8000','2026-03-04 00:00:00.000000','','');
INSERT INTO "crm_plan_rows" VALUES('1006c4b14b1142f194cbb399f15aaa6e',2,'note','oppo_3','unchanged','"n"','"n"','2026-03-04 00:00:00.000000','','');
INSERT INTO "crm_plan_rows" VALUES('1006c4b14b1142f194cbb399f15aaa6e',2,'value','oppo_3','update','100','10000','2026-03-04 00:00:00.000000','','');
CREATE TABLE crm_plans (
	plan_id TEXT NOT NULL, 
	account TEXT NOT NULL, 
	run_key TEXT NOT NULL, 
	reverts TEXT, 
	digest TEXT NOT NULL, 
	rows INTEGER NOT NULL, 
	counts TEXT NOT NULL, 
	created_at DATETIME NOT NULL, 
	applied_by TEXT, 
	applied_at DATETIME, 
	PRIMARY KEY (plan_id)
);
INSERT INTO "crm_plans" VALUES('a34e034dab9f419a9f4667216cc77be8','close:127.0.0.1:39879:orga_sandbox','dag/plan/2026-03-03',NULL,'86edd953e809c7cf88538f4f3bca11fc1373e8d79b0a51cd3108a1fed049477a',3,'{"update": 3, "unchanged": 3, "stale": 0, "invalid": 0, "missing": 0, "conflict": 0}','2026-11-28 17:37:58.877396','dag/apply/2026-03-03','2026-11-28 17:37:59.028403');
INSERT INTO "crm_plans" VALUES('1006c4b14b1142f194cbb399f15aaa6e','close:127.0.0.1:39879:orga_sandbox','dag/plan/2026-03-04',NULL,'d847ec6e6d374495928fc8a95cb4127f4c6fdc8deab546a01eeca33228512413',3,'{"update": 5, "unchanged": 1, "stale": 0, "invalid": 0, "missing": 0, "conflict": 0}','2026-11-28 17:37:59.200015',NULL,NULL);
CREATE TABLE crm_rejects (
	account TEXT NOT NULL, 
	record_id TEXT NOT NULL, 
	fingerprint TEXT NOT NULL, 
	outcome TEXT NOT NULL, 
	code TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	rests BOOLEAN NOT NULL, 
	attempts INTEGER NOT NULL, 
	first_at DATETIME NOT NULL, 
	last_at DATETIME NOT NULL, 
	PRIMARY KEY (account, record_id)
);
INSERT INTO "crm_rejects" VALUES('close:127.0.0.1:39879:orga_sandbox','oppo_gone','f46fb54e495d0f31b1ae3d422752f05f5938a8f0bc5897ee35b008e0a69a63c4','rejected','NOT_FOUND','Close answered 404: Empty query: Opportunity matching query does not exist.',0,2,'2026-11-28 17:37:58.167062','2026-11-28 17:37:58.381161');
CREATE TABLE crm_runs (
	run_key TEXT NOT NULL, 
	account TEXT NOT NULL, 
	as_of DATETIME, 
	tries INTEGER NOT NULL, 
	started_at DATETIME NOT NULL, 
	finished_at DATETIME, 
	report TEXT, 
	PRIMARY KEY (run_key, account)
);
INSERT INTO "crm_runs" VALUES('dag/write/2026-03-01','close:127.0.0.1:39879:orga_sandbox','2026-03-01 00:00:00.000000',2,'2026-11-28 17:37:57.999066','2026-11-28 17:37:58.396149','{"run_key": "dag/write/2026-03-01", "vendor": "close", "account": "close:127.0.0.1:39879:orga_sandbox", "rows": 3, "calls": 6, "seconds": 5.159, "outcomes": {"updated": 2, "rejected": 1}, "rejects": [{"record_id": "oppo_gone", "outcome": "rejected", "code": "NOT_FOUND", "reason": "Close answered 404: Empty query: Opportunity matching query does not exist."}], "rejects_path": null, "budget": {"key": "d541f29f217a", "share": 0.9, "waited": 0.0, "groups": [{"group": "me read", "calls": 2, "limit": 1000000, "window": 0.723, "allowed": 10260379}, {"group": "opportunity write", "calls": 4, "limit": 1000000, "window": 0.865, "allowed": 1000000}]}, "guardrails": [{"limit": "max_rows", "measured": "3", "allowed": "100", "told": "rows"}, {"limit": "max_changed_fraction", "measured": "0.3333333333333333333333333333", "allowed": "1.0", "told": "of the rows would be written (1 of 3)"}], "causes": [{"outcome": "rejected", "code": "NOT_FOUND", "rows": 1, "record_id": "oppo_gone", "reason": "Close answered 404: Empty query: Opportunity matching query does not exist."}], "warnings": [], "ended_early": null}');
INSERT INTO "crm_runs" VALUES('dag/write/2026-03-02','close:127.0.0.1:39879:orga_sandbox','2026-03-02 00:00:00.000000',1,'2026-11-28 17:37:58.461619','2026-11-28 17:37:58.544859','{"run_key": "dag/write/2026-03-02", "vendor": "close", "account": "close:127.0.0.1:39879:orga_sandbox", "rows": 2, "calls": 2, "seconds": 0.122, "outcomes": {"updated": 1, "unchanged": 1}, "rejects": [], "rejects_path": null, "budget": {"key": "d541f29f217a", "share": 0.9, "waited": 0.0, "groups": [{"group": "me read", "calls": 1, "limit": 1000000, "window": 0.544, "allowed": 1000000}, {"group": "opportunity write", "calls": 1, "limit": null, "window": null, "allowed": null}]}, "guardrails": [], "causes": [], "warnings": [], "ended_early": null}');
INSERT INTO "crm_runs" VALUES('dag/plan/2026-03-03','close:127.0.0.1:39879:orga_sandbox','2026-03-03 00:00:00.000000',1,'2026-11-28 17:37:58.789402','2026-11-28 17:37:58.887111','{"plan_id": "a34e034dab9f419a9f4667216cc77be8", "digest": "86edd953e809c7cf88538f4f3bca11fc1373e8d79b0a51cd3108a1fed049477a", "account": "close:127.0.0.1:39879:orga_sandbox", "run_key": "dag/plan/2026-03-03", "rows": 3, "counts": {"update": 3, "unchanged": 3, "stale": 0, "invalid": 0, "missing": 0, "conflict": 0}, "calls": 2, "seconds": 0.146, "budget": {"key": "d541f29f217a", "share": 0.9, "waited": 0.0, "groups": [{"group": "me read", "calls": 1, "limit": 1000000, "window": 0.219, "allowed": 1000000}, {"group": "opportunity read", "calls": 1, "limit": 1000000, "window": 0.153, "allowed": 1000000}]}, "guardrails": [], "warnings": []}');
INSERT INTO "crm_runs" VALUES('dag/apply/2026-03-03','close:127.0.0.1:39879:orga_sandbox','2026-03-03 00:00:00.000000',1,'2026-11-28 17:37:58.958597','2026-11-28 17:37:59.023956','{"run_key": "dag/apply/2026-03-03", "vendor": "close", "account": "close:127.0.0.1:39879:orga_sandbox", "rows": 3, "calls": 5, "seconds": 0.112, "outcomes": {"updated": 2, "unchanged": 1}, "rejects": [], "rejects_path": null, "budget": {"key": "d541f29f217a", "share": 0.9, "waited": 0.0, "groups": [{"group": "me read", "calls": 1, "limit": 1000000, "window": 0.047, "allowed": 1871414}, {"group": "opportunity read", "calls": 2, "limit": 1000000, "window": 0.99, "allowed": 1000000}, {"group": "opportunity write", "calls": 2, "limit": 1000000, "window": 0.997, "allowed": 1000000}]}, "guardrails": [], "causes": [], "warnings": [], "ended_early": null}');
INSERT INTO "crm_runs" VALUES('dag/plan/2026-03-04','close:127.0.0.1:39879:orga_sandbox','2026-03-04 00:00:00.000000',1,'2026-11-28 17:37:59.113305','2026-11-28 17:37:59.212132','{"plan_id": "1006c4b14b1142f194cbb399f15aaa6e", "digest": "d847ec6e6d374495928fc8a95cb4127f4c6fdc8deab546a01eeca33228512413", "account": "close:127.0.0.1:39879:orga_sandbox", "run_key": "dag/plan/2026-03-04", "rows": 3, "counts": {"update": 5, "unchanged": 1, "stale": 0, "invalid": 0, "missing": 0, "conflict": 0}, "calls": 2, "seconds": 0.152, "budget": {"key": "d541f29f217a", "share": 0.9, "waited": 0.0, "groups": [{"group": "me read", "calls": 1, "limit": 1000000, "window": 0.899, "allowed": 1000000}, {"group": "opportunity read", "calls": 1, "limit": 1000000, "window": 0.823, "allowed": 1000000}]}, "guardrails": [], "warnings": []}');
INSERT INTO "crm_runs" VALUES('dag/raze/2026-03-01','raze:127.0.0.1:39879:raze_default','2026-03-01 00:00:00.000000',1,'2026-11-28 17:37:59.455658','2026-11-28 17:37:59.513371','{"run_key": "dag/raze/2026-03-01", "vendor": "raze", "account": "raze:127.0.0.1:39879:raze_default", "rows": 1, "calls": 1, "seconds": 0.267, "outcomes": {"updated": 1}, "rejects": [], "rejects_path": null, "budget": {"key": "177cbc123cfb", "share": 0.9, "waited": 0.0, "groups": [{"group": "", "calls": 1, "limit": 1000000, "window": 1321.0, "allowed": 1000000}]}, "guardrails": [], "causes": [], "warnings": [], "ended_early": null}');
INSERT INTO "crm_runs" VALUES('dag/write/2026-03-05','close:127.0.0.1:39879:orga_sandbox','2026-03-05 00:00:00.000000',1,'2026-11-28 17:37:59.539100',NULL,NULL);
INSERT INTO "crm_runs" VALUES('dag/write/2026-03-04','close:127.0.0.1:39879:orga_sandbox','2026-03-04 00:00:00.000000',1,'2026-11-28 17:37:59.573626',NULL,NULL);
CREATE TABLE crm_schema_version (
	version INTEGER NOT NULL, 
	PRIMARY KEY (version)
);
INSERT INTO "crm_schema_version" VALUES(1);
CREATE TABLE crm_tokens (
	name TEXT NOT NULL, 
	access_token TEXT, 
	refresh_token TEXT, 
	expires_at DATETIME, 
	refreshed_at DATETIME, 
	asked_at DATETIME, 
	PRIMARY KEY (name)
);
INSERT INTO "crm_tokens" VALUES('close:127.0.0.1:39879:oa2client_sandbox:715de12f6aa675efbda0d92889afd9ca502a535721986cfd091ed36fdf29d86c','gAAAAABrCxF306RfRtxn20Uo8jpOy6TN8vsf66r3n2jWg7G1ErZMEsOlxzNDyc9UR0hVYqxCOFsT8UlDs1XcJxRD_xXNMBJCO8laArgV6KnoA6Qtg5xAIso=','gAAAAABrCxF31kvUTcksrxtkmB5srNIh-PoWvb1fm5dVwxZOU3ZSeCs_enKjcBGMmPt2HmDitJEitH6iOgPzpgHG-OIP2uf7FESUt-DVfpWYqUhFLCuZ_cQ=','2026-11-28 18:37:59.641935','2026-11-28 17:37:59.641935','2026-11-28 17:37:59.629524');
CREATE TABLE crm_tries (
	run_key TEXT NOT NULL, 
	account TEXT NOT NULL, 
	number INTEGER NOT NULL, 
	started_at DATETIME NOT NULL, 
	finished_at DATETIME, 
	report TEXT, 
	PRIMARY KEY (run_key, account, number)
);
INSERT INTO "crm_tries" VALUES('dag/write/2026-03-01','close:127.0.0.1:39879:orga_sandbox',1,'2026-11-28 17:37:57.999066','2026-11-28 17:37:58.180056','{"run_key": "dag/write/2026-03-01", "vendor": "close", "account": "close:127.0.0.1:39879:orga_sandbox", "rows": 3, "calls": 4, "seconds": 4.99, "outcomes": {"updated": 2, "rejected": 1}, "rejects": [{"record_id": "oppo_gone", "outcome": "rejected", "code": "NOT_FOUND", "reason": "Close answered 404: Empty query: Opportunity matching query does not exist."}], "rejects_path": null, "budget": {"key": "d541f29f217a", "share": 0.9, "waited": 0.0, "groups": [{"group": "me read", "calls": 1, "limit": 1000000, "window": 0.029, "allowed": 9260379}, {"group": "opportunity write", "calls": 3, "limit": 1000000, "window": 0.865, "allowed": 1000000}]}, "guardrails": [{"limit": "max_rows", "measured": "3", "allowed": "100", "told": "rows"}, {"limit": "max_changed_fraction", "measured": "1", "allowed": "1.0", "told": "of the rows would be written (3 of 3)"}], "causes": [{"outcome": "rejected", "code": "NOT_FOUND", "rows": 1, "record_id": "oppo_gone", "reason": "Close answered 404: Empty query: Opportunity matching query does not exist."}], "warnings": [], "ended_early": null}');
INSERT INTO "crm_tries" VALUES('dag/write/2026-03-01','close:127.0.0.1:39879:orga_sandbox',2,'2026-11-28 17:37:58.281248','2026-11-28 17:37:58.396149','{"run_key": "dag/write/2026-03-01", "vendor": "close", "account": "close:127.0.0.1:39879:orga_sandbox", "rows": 3, "calls": 2, "seconds": 0.169, "outcomes": {"unchanged": 2, "rejected": 1}, "rejects": [{"record_id": "oppo_gone", "outcome": "rejected", "code": "NOT_FOUND", "reason": "Close answered 404: Empty query: Opportunity matching query does not exist."}], "rejects_path": null, "budget": {"key": "d541f29f217a", "share": 0.9, "waited": 0.0, "groups": [{"group": "me read", "calls": 1, "limit": 1000000, "window": 0.723, "allowed": 1000000}, {"group": "opportunity write", "calls": 1, "limit": null, "window": null, "allowed": null}]}, "guardrails": [{"limit": "max_rows", "measured": "3", "allowed": "100", "told": "rows"}, {"limit": "max_changed_fraction", "measured": "0.3333333333333333333333333333", "allowed": "1.0", "told": "of the rows would be written (1 of 3)"}], "causes": [{"outcome": "rejected", "code": "NOT_FOUND", "rows": 1, "record_id": "oppo_gone", "reason": "Close answered 404: Empty query: Opportunity matching query does not exist."}], "warnings": [], "ended_early": null}');
INSERT INTO "crm_tries" VALUES('dag/write/2026-03-02','close:127.0.0.1:39879:orga_sandbox',1,'2026-11-28 17:37:58.461619','2026-11-28 17:37:58.544859','{"run_key": "dag/write/2026-03-02", "vendor": "close", "account": "close:127.0.0.1:39879:orga_sandbox", "rows": 2, "calls": 2, "seconds": 0.122, "outcomes": {"updated": 1, "unchanged": 1}, "rejects": [], "rejects_path": null, "budget": {"key": "d541f29f217a", "share": 0.9, "waited": 0.0, "groups": [{"group": "me read", "calls": 1, "limit": 1000000, "window": 0.544, "allowed": 1000000}, {"group": "opportunity write", "calls": 1, "limit": null, "window": null, "allowed": null}]}, "guardrails": [], "causes": [], "warnings": [], "ended_early": null}');
INSERT INTO "crm_tries" VALUES('dag/plan/2026-03-03','close:127.0.0.1:39879:orga_sandbox',1,'2026-11-28 17:37:58.789402','2026-11-28 17:37:58.887111','{"plan_id": "a34e034dab9f419a9f4667216cc77be8", "digest": "86edd953e809c7cf88538f4f3bca11fc1373e8d79b0a51cd3108a1fed049477a", "account": "close:127.0.0.1:39879:orga_sandbox", "run_key": "dag/plan/2026-03-03", "rows": 3, "counts": {"update": 3, "unchanged": 3, "stale": 0, "invalid": 0, "missing": 0, "conflict": 0}, "calls": 2, "seconds": 0.146, "budget": {"key": "d541f29f217a", "share": 0.9, "waited": 0.0, "groups": [{"group": "me read", "calls": 1, "limit": 1000000, "window": 0.219, "allowed": 1000000}, {"group": "opportunity read", "calls": 1, "limit": 1000000, "window": 0.153, "allowed": 1000000}]}, "guardrails": [], "warnings": []}');
INSERT INTO "crm_tries" VALUES('dag/apply/2026-03-03','close:127.0.0.1:39879:orga_sandbox',1,'2026-11-28 17:37:58.958597','2026-11-28 17:37:59.023956','{"run_key": "dag/apply/2026-03-03", "vendor": "close", "account": "close:127.0.0.1:39879:orga_sandbox", "rows": 3, "calls": 5, "seconds": 0.112, "outcomes": {"updated": 2, "unchanged": 1}, "rejects": [], "rejects_path": null, "budget": {"key": "d541f29f217a", "share": 0.9, "waited": 0.0, "groups": [{"group": "me read", "calls": 1, "limit": 1000000, "window": 0.047, "allowed": 1871414}, {"group": "opportunity read", "calls": 2, "limit": 1000000, "window": 0.99, "allowed": 1000000}, {"group": "opportunity write", "calls": 2, "limit": 1000000, "window": 0.997, "allowed": 1000000}]}, "guardrails": [], "causes": [], "warnings": [], "ended_early": null}');
INSERT INTO "crm_tries" VALUES('dag/plan/2026-03-04','close:127.0.0.1:39879:orga_sandbox',1,'2026-11-28 17:37:59.113305','2026-11-28 17:37:59.212132','{"plan_id": "1006c4b14b1142f194cbb399f15aaa6e", "digest": "d847ec6e6d374495928fc8a95cb4127f4c6fdc8deab546a01eeca33228512413", "account": "close:127.0.0.1:39879:orga_sandbox", "run_key": "dag/plan/2026-03-04", "rows": 3, "counts": {"update": 5, "unchanged": 1, "stale": 0, "invalid": 0, "missing": 0, "conflict": 0}, "calls": 2, "seconds": 0.152, "budget": {"key": "d541f29f217a", "share": 0.9, "waited": 0.0, "groups": [{"group": "me read", "calls": 1, "limit": 1000000, "window": 0.899, "allowed": 1000000}, {"group": "opportunity read", "calls": 1, "limit": 1000000, "window": 0.823, "allowed": 1000000}]}, "guardrails": [], "warnings": []}');
INSERT INTO "crm_tries" VALUES('dag/raze/2026-03-01','raze:127.0.0.1:39879:raze_default',1,'2026-11-28 17:37:59.455658','2026-11-28 17:37:59.513371','{"run_key": "dag/raze/2026-03-01", "vendor": "raze", "account": "raze:127.0.0.1:39879:raze_default", "rows": 1, "calls": 1, "seconds": 0.267, "outcomes": {"updated": 1}, "rejects": [], "rejects_path": null, "budget": {"key": "177cbc123cfb", "share": 0.9, "waited": 0.0, "groups": [{"group": "", "calls": 1, "limit": 1000000, "window": 1321.0, "allowed": 1000000}]}, "guardrails": [], "causes": [], "warnings": [], "ended_early": null}');
INSERT INTO "crm_tries" VALUES('dag/write/2026-03-05','close:127.0.0.1:39879:orga_sandbox',1,'2026-11-28 17:37:59.539100',NULL,NULL);
INSERT INTO "crm_tries" VALUES('dag/write/2026-03-04','close:127.0.0.1:39879:orga_sandbox',1,'2026-11-28 17:37:59.573626',NULL,NULL);
CREATE INDEX crm_runs_started ON crm_runs (started_at, account, run_key);
CREATE INDEX crm_changes_record ON crm_changes (account, record_id, id);
CREATE INDEX crm_changes_run ON crm_changes (run_key, outcome, id);
COMMIT;
