-- Jobs that consist of one call and end with it, and how calls were served.

ALTER TABLE jobs ADD COLUMN single_call INTEGER NOT NULL DEFAULT 0;

ALTER TABLE calls ADD COLUMN streamed INTEGER NOT NULL DEFAULT 0;
-- Answered from the response cache: no provider was asked.
ALTER TABLE calls ADD COLUMN cached INTEGER NOT NULL DEFAULT 0;
-- From the caller's request to the first piece of a streamed answer.
ALTER TABLE calls ADD COLUMN first_token_ms BIGINT;

-- Tries that failed before a call was served or given up. A call that was served at once has none.
CREATE TABLE call_attempts (
    call_id TEXT NOT NULL,
    number BIGINT NOT NULL,
    provider_name TEXT NOT NULL,
    credential_id TEXT NOT NULL,
    upstream_model TEXT NOT NULL,
    error_kind TEXT NOT NULL,
    error TEXT NOT NULL,
    latency_ms BIGINT NOT NULL,
    PRIMARY KEY (call_id, number)
);
