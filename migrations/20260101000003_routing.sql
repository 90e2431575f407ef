-- How calls are routed and limited: fallbacks and weights of models, prices of cached tokens,
-- limits of teams and keys, and what follows when a caller leaves.

ALTER TABLE teams ADD COLUMN requests_per_minute BIGINT CHECK (requests_per_minute >= 1);
ALTER TABLE teams ADD COLUMN tokens_per_minute BIGINT CHECK (tokens_per_minute >= 1);
ALTER TABLE teams ADD COLUMN parallel_calls BIGINT CHECK (parallel_calls >= 1);
ALTER TABLE teams ADD COLUMN on_disconnect TEXT NOT NULL DEFAULT 'drain'
    CHECK (on_disconnect IN ('drain', 'cancel'));
-- Without it, answers are not cached.
ALTER TABLE teams ADD COLUMN cache_ttl_seconds BIGINT
    CHECK (cache_ttl_seconds BETWEEN 1 AND 2592000);

ALTER TABLE virtual_keys ADD COLUMN requests_per_minute BIGINT CHECK (requests_per_minute >= 1);
ALTER TABLE virtual_keys ADD COLUMN tokens_per_minute BIGINT CHECK (tokens_per_minute >= 1);
ALTER TABLE virtual_keys ADD COLUMN parallel_calls BIGINT CHECK (parallel_calls >= 1);
-- The key that a rotation put in its place. A key has one successor at most.
ALTER TABLE virtual_keys ADD COLUMN successor TEXT;

-- Nano-dollars per token; without them, cached tokens cost what others do.
ALTER TABLE models ADD COLUMN cache_read_price BIGINT CHECK (cache_read_price >= 0);
ALTER TABLE models ADD COLUMN cache_write_price BIGINT CHECK (cache_write_price >= 0);
-- The model's own share beside fallbacks of priority 0.
ALTER TABLE models ADD COLUMN weight BIGINT NOT NULL DEFAULT 1 CHECK (weight BETWEEN 1 AND 1000);

CREATE TABLE model_fallbacks (
    alias TEXT NOT NULL REFERENCES models (alias) ON DELETE CASCADE,
    fallback TEXT NOT NULL REFERENCES models (alias) ON DELETE CASCADE,
    -- 0 shares the load with the model itself; higher numbers are tried later.
    priority BIGINT NOT NULL CHECK (priority >= 0),
    weight BIGINT NOT NULL CHECK (weight BETWEEN 1 AND 1000),
    PRIMARY KEY (alias, fallback),
    CHECK (alias <> fallback)
);
