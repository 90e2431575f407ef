-- Who may do what: organizations, teams, keys, models, groups, providers.
-- Proxies hold these tables in memory and read them again when policy_revision moves.
-- Times are microseconds since 1970 UTC, flags are 0 or 1, ids and JSON are text.

CREATE TABLE policy_revision (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    revision BIGINT NOT NULL
);

INSERT INTO policy_revision (id, revision) VALUES (1, 1);

CREATE TABLE organizations (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('active', 'paused', 'suspended')),
    paused_until BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE providers (
    -- An empty organization means that all may use the provider.
    org_id TEXT NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    base_url TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (org_id, name)
);

CREATE TABLE provider_credentials (
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL,
    provider_name TEXT NOT NULL,
    sealed_key TEXT NOT NULL,
    -- The last characters of the key, by which administrators tell keys apart.
    hint TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    created_at BIGINT NOT NULL,
    FOREIGN KEY (org_id, provider_name) REFERENCES providers (org_id, name) ON DELETE CASCADE
);

CREATE INDEX provider_credentials_by_provider ON provider_credentials (org_id, provider_name);

CREATE TABLE models (
    alias TEXT PRIMARY KEY,
    provider_name TEXT NOT NULL,
    upstream_model TEXT NOT NULL,
    -- Nano-dollars per token; both or neither. Without them the shipped table decides.
    input_price BIGINT,
    output_price BIGINT,
    output_tokens_max BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE model_groups (
    name TEXT PRIMARY KEY,
    created_at BIGINT NOT NULL
);

CREATE TABLE model_group_members (
    group_name TEXT NOT NULL REFERENCES model_groups (name) ON DELETE CASCADE,
    alias TEXT NOT NULL REFERENCES models (alias) ON DELETE CASCADE,
    position BIGINT NOT NULL,
    PRIMARY KEY (group_name, alias)
);

CREATE TABLE teams (
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL REFERENCES organizations (id),
    name TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('active', 'paused', 'suspended')),
    paused_until BIGINT,
    budget_mode TEXT NOT NULL
        CHECK (budget_mode IN ('job_based', 'consumption_usd', 'consumption_tokens')),
    -- Millionths of a credit per dollar.
    credits_per_dollar BIGINT NOT NULL CHECK (credits_per_dollar > 0),
    tokens_per_credit BIGINT NOT NULL CHECK (tokens_per_credit > 0),
    -- Hundredths of a percent.
    markup BIGINT NOT NULL CHECK (markup >= 0),
    default_model TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE INDEX teams_by_org ON teams (org_id, id);

CREATE TABLE team_groups (
    team_id TEXT NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    group_name TEXT NOT NULL REFERENCES model_groups (name),
    PRIMARY KEY (team_id, group_name)
);

CREATE TABLE virtual_keys (
    id TEXT PRIMARY KEY,
    team_id TEXT NOT NULL REFERENCES teams (id),
    label TEXT,
    -- SHA-256 of the whole key in hexadecimal.
    hash TEXT NOT NULL UNIQUE,
    expires_at BIGINT,
    revoked_at BIGINT,
    created_at BIGINT NOT NULL
);

CREATE INDEX virtual_keys_by_team ON virtual_keys (team_id, id);
