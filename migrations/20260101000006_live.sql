-- What nodes tell administrators of the present, and the indexes that their lists need.

-- The latest figures of each node, as JSON; written about once a second, not by the hot path.
CREATE TABLE node_figures (
    node_id TEXT PRIMARY KEY,
    at BIGINT NOT NULL,
    figures TEXT NOT NULL
);

-- What passed through each node in each minute, as JSON; old minutes are deleted.
CREATE TABLE traffic (
    -- Minutes since 1970 UTC.
    minute BIGINT NOT NULL,
    node_id TEXT NOT NULL,
    figures TEXT NOT NULL,
    PRIMARY KEY (minute, node_id)
);

-- When a key was last accepted, to about a minute.
ALTER TABLE virtual_keys ADD COLUMN used_at BIGINT;

-- The latest check of the whole ledger.
CREATE TABLE ledger_checks (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    differences BIGINT NOT NULL
);

-- Lists over all teams of states that few jobs are in. Open ones are found by jobs_open.
CREATE INDEX jobs_failed ON jobs (created_at, id) WHERE state = 'failed';
CREATE INDEX jobs_cancelled ON jobs (created_at, id) WHERE state = 'cancelled';

-- Sums of a day over all teams.
CREATE INDEX usage_daily_by_day ON usage_daily (day, team_id);
