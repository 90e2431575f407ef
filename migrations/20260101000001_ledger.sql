-- Credits, jobs and calls. Only the group-commit writer and the administration write here.

CREATE TABLE accounts (
    team_id TEXT PRIMARY KEY REFERENCES teams (id),
    balance BIGINT NOT NULL,
    held BIGINT NOT NULL CHECK (held >= 0),
    allocated BIGINT NOT NULL,
    used BIGINT NOT NULL CHECK (used >= 0),
    overdraft BIGINT NOT NULL CHECK (overdraft >= 0),
    entry_count BIGINT NOT NULL,
    -- Moves with every transaction that touches the account, its jobs or its calls.
    version BIGINT NOT NULL,
    -- The rules in code keep these; the database refuses to store what breaks them.
    CHECK (balance = allocated - used),
    CHECK (balance - held >= -overdraft)
);

CREATE TABLE ledger_entries (
    team_id TEXT NOT NULL REFERENCES accounts (team_id),
    number BIGINT NOT NULL,
    kind TEXT NOT NULL
        CHECK (kind IN ('allocation', 'deduction', 'refund', 'adjustment', 'overrun')),
    amount BIGINT NOT NULL,
    balance_before BIGINT NOT NULL,
    balance_after BIGINT NOT NULL,
    shortfall BIGINT NOT NULL,
    job_id TEXT,
    reason TEXT NOT NULL,
    actor TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (team_id, number),
    CHECK (balance_after = balance_before + amount)
);

-- Exactly once: no job can be charged by two deductions, whatever the code does.
CREATE UNIQUE INDEX ledger_entries_one_deduction ON ledger_entries (job_id)
    WHERE kind = 'deduction';

CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    team_id TEXT NOT NULL,
    org_id TEXT NOT NULL,
    state TEXT NOT NULL
        CHECK (state IN ('pending', 'in_progress', 'completed', 'failed', 'cancelled')),
    job_type TEXT NOT NULL,
    user_id TEXT,
    metadata TEXT NOT NULL,
    error_message TEXT,
    -- The terms as they were when the job was created.
    budget_mode TEXT NOT NULL,
    credits_per_dollar BIGINT NOT NULL,
    tokens_per_credit BIGINT NOT NULL,
    markup BIGINT NOT NULL,
    credits_max BIGINT,
    hold BIGINT NOT NULL CHECK (hold >= 0),
    -- Nano-dollars and tokens of ended calls and of calls in flight; kept under metered terms only.
    spent_cost BIGINT NOT NULL,
    spent_tokens BIGINT NOT NULL,
    reserved_cost BIGINT NOT NULL,
    reserved_tokens BIGINT NOT NULL,
    charged BIGINT,
    credits_remaining BIGINT,
    -- Totals of its calls, written when it has ended.
    total_calls BIGINT NOT NULL DEFAULT 0,
    succeeded_calls BIGINT NOT NULL DEFAULT 0,
    total_tokens BIGINT NOT NULL DEFAULT 0,
    total_cost BIGINT NOT NULL DEFAULT 0,
    total_latency_ms BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    started_at BIGINT,
    completed_at BIGINT,
    active_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE INDEX jobs_by_team ON jobs (team_id, created_at, id);
CREATE INDEX jobs_by_time ON jobs (created_at, id);
CREATE INDEX jobs_open ON jobs (active_at, id) WHERE state IN ('pending', 'in_progress');

CREATE TABLE calls (
    id TEXT PRIMARY KEY,
    job_id TEXT NOT NULL,
    team_id TEXT NOT NULL,
    key_id TEXT NOT NULL,
    node_id TEXT NOT NULL,
    alias TEXT NOT NULL,
    -- The name that the caller used: an alias or a group.
    requested_model TEXT NOT NULL,
    provider_name TEXT NOT NULL,
    upstream_model TEXT NOT NULL,
    purpose TEXT,
    state TEXT NOT NULL CHECK (state IN ('in_flight', 'succeeded', 'failed', 'interrupted')),
    reserved_cost BIGINT NOT NULL,
    reserved_tokens BIGINT NOT NULL,
    -- Disjoint buckets; their sum is the total.
    input_uncached BIGINT NOT NULL DEFAULT 0,
    input_cache_read BIGINT NOT NULL DEFAULT 0,
    input_cache_write BIGINT NOT NULL DEFAULT 0,
    output_text BIGINT NOT NULL DEFAULT 0,
    output_reasoning BIGINT NOT NULL DEFAULT 0,
    usage_estimated INTEGER NOT NULL DEFAULT 0,
    -- Nano-dollars: what the provider asks, and what the customer is asked.
    provider_cost BIGINT NOT NULL DEFAULT 0,
    client_cost BIGINT NOT NULL DEFAULT 0,
    -- Which price was used; nothing if nobody knew one.
    price_version TEXT,
    input_price BIGINT,
    cache_read_price BIGINT,
    cache_write_price BIGINT,
    output_price BIGINT,
    finish_reason TEXT,
    error_kind TEXT,
    error TEXT,
    latency_ms BIGINT,
    started_at BIGINT NOT NULL,
    ended_at BIGINT
);

CREATE INDEX calls_by_job ON calls (job_id, id);
CREATE INDEX calls_in_flight ON calls (node_id, id) WHERE state = 'in_flight';

-- A node is one run of a proxy process; one whose heartbeat stops is gone, and its calls are closed.
CREATE TABLE nodes (
    id TEXT PRIMARY KEY,
    started_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL
);

-- Answers to requests that carried an Idempotency-Key. Bodies are sealed and kept for a day.
CREATE TABLE idempotency (
    key_id TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    operation TEXT NOT NULL,
    job_id TEXT NOT NULL,
    call_id TEXT,
    sealed_body TEXT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (idempotency_key, key_id)
);

CREATE INDEX idempotency_by_time ON idempotency (created_at);
CREATE INDEX idempotency_by_call ON idempotency (call_id) WHERE call_id IS NOT NULL;
