-- Sealed texts open only at the place that they were sealed for. Version 1 opened anywhere; the first
-- program with the key seals everything again and sets version 2, after which 1 is never opened.
CREATE TABLE seal_version (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    version BIGINT NOT NULL
);

INSERT INTO seal_version (id, version) VALUES (1, 1);

-- What was given back of a job is looked for before more is.
CREATE INDEX ledger_entries_refunds ON ledger_entries (job_id) WHERE kind = 'refund';
