-- What teams used per day, so that reports and counts need not read every job, and budgets of
-- credits per day and month. Nodes of an earlier version must be stopped before this is applied:
-- they would end jobs without adding them up here.

-- Totals of ended jobs that the daily sums are made of; calls neither succeeded nor failed are in
-- flight.
ALTER TABLE jobs ADD COLUMN failed_calls BIGINT NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN total_input_tokens BIGINT NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN total_provider_cost BIGINT NOT NULL DEFAULT 0;

UPDATE jobs
SET failed_calls = t.failed
  , total_input_tokens = t.input_tokens
  , total_provider_cost = t.provider_cost
FROM (
    SELECT job_id
         , CAST(SUM(CASE WHEN state IN ('failed', 'interrupted') THEN 1 ELSE 0 END) AS BIGINT)
               AS failed
         , CAST(SUM(input_uncached + input_cache_read + input_cache_write) AS BIGINT)
               AS input_tokens
         , CAST(SUM(provider_cost) AS BIGINT) AS provider_cost
    FROM calls
    GROUP BY job_id
) AS t
WHERE jobs.id = t.job_id AND jobs.state NOT IN ('pending', 'in_progress');

-- Sums over the ended jobs of a team that were created on one day and are of one type.
CREATE TABLE usage_daily (
    team_id TEXT NOT NULL,
    -- Days since 1970 UTC.
    day BIGINT NOT NULL,
    job_type TEXT NOT NULL,
    completed BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    cancelled BIGINT NOT NULL,
    calls BIGINT NOT NULL,
    failed_calls BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    -- Nano-dollars: what the customer is asked, and what the providers ask.
    client_cost BIGINT NOT NULL,
    provider_cost BIGINT NOT NULL,
    -- What completed jobs were charged; refunds are not taken off.
    credits BIGINT NOT NULL,
    latency_ms BIGINT NOT NULL,
    PRIMARY KEY (team_id, day, job_type)
);

INSERT INTO usage_daily
    (team_id, day, job_type, completed, failed, cancelled, calls, failed_calls, input_tokens,
     output_tokens, client_cost, provider_cost, credits, latency_ms)
SELECT team_id, created_at / 86400000000, job_type
     , SUM(CASE WHEN state = 'completed' THEN 1 ELSE 0 END)
     , SUM(CASE WHEN state = 'failed' THEN 1 ELSE 0 END)
     , SUM(CASE WHEN state = 'cancelled' THEN 1 ELSE 0 END)
     , SUM(total_calls), SUM(failed_calls)
     , SUM(total_input_tokens), SUM(total_tokens - total_input_tokens)
     , SUM(total_cost), SUM(total_provider_cost)
     , SUM(COALESCE(charged, 0)), SUM(total_latency_ms)
FROM jobs
WHERE state NOT IN ('pending', 'in_progress')
GROUP BY team_id, created_at / 86400000000, job_type;

-- States that few jobs are in. Completed jobs are found by jobs_by_team.
CREATE INDEX jobs_open_by_team ON jobs (team_id, created_at, id)
    WHERE state IN ('pending', 'in_progress');
CREATE INDEX jobs_failed_by_team ON jobs (team_id, created_at, id) WHERE state = 'failed';
CREATE INDEX jobs_cancelled_by_team ON jobs (team_id, created_at, id) WHERE state = 'cancelled';

-- Budgets, and what was charged since the day and the month of the latest charge began.
ALTER TABLE accounts ADD COLUMN budget_day BIGINT CHECK (budget_day >= 0);
ALTER TABLE accounts ADD COLUMN budget_month BIGINT CHECK (budget_month >= 0);
ALTER TABLE accounts ADD COLUMN day_began_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE accounts ADD COLUMN day_charged BIGINT NOT NULL DEFAULT 0;
ALTER TABLE accounts ADD COLUMN month_began_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE accounts ADD COLUMN month_charged BIGINT NOT NULL DEFAULT 0;

-- The first day of a month by integers alone: years begin in March, so that leap days come last.
UPDATE accounts
SET day_began_at = w.day * 86400000000
  , month_began_at = (w.day - (w.of_year - (153 * ((5 * w.of_year + 2) / 153) + 2) / 5)) * 86400000000
FROM (
    SELECT team_id, day
         , of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100) AS of_year
    FROM (
        SELECT team_id, day, of_era
             , (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365 AS year_of_era
        FROM (
            SELECT team_id
                 , MAX(created_at) / 86400000000 AS day
                 , (MAX(created_at) / 86400000000 + 719468) % 146097 AS of_era
            FROM ledger_entries
            WHERE kind IN ('deduction', 'overrun')
            GROUP BY team_id
        ) AS latest
    ) AS years
) AS w
WHERE accounts.team_id = w.team_id;

UPDATE accounts
SET day_charged = (
        SELECT CAST(COALESCE(SUM(-amount), 0) AS BIGINT)
        FROM ledger_entries AS e
        WHERE e.team_id = accounts.team_id
          AND e.kind IN ('deduction', 'overrun')
          AND e.created_at >= accounts.day_began_at
    )
  , month_charged = (
        SELECT CAST(COALESCE(SUM(-amount), 0) AS BIGINT)
        FROM ledger_entries AS e
        WHERE e.team_id = accounts.team_id
          AND e.kind IN ('deduction', 'overrun')
          AND e.created_at >= accounts.month_began_at
    );
