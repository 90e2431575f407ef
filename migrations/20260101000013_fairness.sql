-- Sums over a job's calls are kept in its row with every call that begins or ends, so that no
-- request costs more the more calls its job has; and what retention has deleted stays in the sums of
-- its day. Nodes of an earlier version must be stopped before this is applied: they would let calls
-- begin and end without counting them here.

ALTER TABLE jobs ADD COLUMN calls_in_flight BIGINT NOT NULL DEFAULT 0;

UPDATE jobs
SET calls_in_flight = t.in_flight
  , total_calls = t.calls
  , succeeded_calls = t.succeeded
  , failed_calls = t.failed
  , total_tokens = t.tokens
  , total_input_tokens = t.input_tokens
  , total_cost = t.cost
  , total_provider_cost = t.provider_cost
  , total_latency_ms = t.latency_ms
  , active_at = CASE WHEN t.started_at > jobs.active_at THEN t.started_at ELSE jobs.active_at END
FROM (
    SELECT job_id
         , COUNT(*) AS calls
         , CAST(SUM(CASE WHEN state = 'in_flight' THEN 1 ELSE 0 END) AS BIGINT) AS in_flight
         , CAST(SUM(CASE WHEN state = 'succeeded' THEN 1 ELSE 0 END) AS BIGINT) AS succeeded
         , CAST(SUM(CASE WHEN state IN ('failed', 'interrupted') THEN 1 ELSE 0 END) AS BIGINT)
               AS failed
         , CAST(SUM(input_uncached + input_cache_read + input_cache_write + input_cache_write_1h
                    + input_audio + input_audio_cache_read + input_image
                    + output_text + output_reasoning + output_audio + output_image) AS BIGINT)
               AS tokens
         , CAST(SUM(input_uncached + input_cache_read + input_cache_write + input_cache_write_1h
                    + input_audio + input_audio_cache_read + input_image) AS BIGINT)
               AS input_tokens
         , CAST(SUM(client_cost) AS BIGINT) AS cost
         , CAST(SUM(provider_cost) AS BIGINT) AS provider_cost
         , CAST(SUM(COALESCE(latency_ms, 0)) AS BIGINT) AS latency_ms
         , MAX(started_at) AS started_at
    FROM calls
    WHERE job_id IN (SELECT id FROM jobs WHERE state IN ('pending', 'in_progress'))
    GROUP BY job_id
) AS t
WHERE jobs.id = t.job_id AND jobs.state IN ('pending', 'in_progress');

-- Calls that are in flight although their job has ended.
UPDATE jobs
SET calls_in_flight = t.in_flight
FROM (
    SELECT job_id, COUNT(*) AS in_flight
    FROM calls
    WHERE state = 'in_flight'
    GROUP BY job_id
) AS t
WHERE jobs.id = t.job_id AND jobs.state NOT IN ('pending', 'in_progress');

-- Ended jobs by their end, for retention.
CREATE INDEX jobs_ended ON jobs (completed_at, id) WHERE completed_at IS NOT NULL;

-- What deleted jobs and calls were in the sums of their days: usage_daily less this is what the jobs
-- that are still there add up to.
CREATE TABLE usage_deleted (
    team_id TEXT NOT NULL,
    day BIGINT NOT NULL,
    job_type TEXT NOT NULL,
    completed BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    cancelled BIGINT NOT NULL,
    calls BIGINT NOT NULL,
    failed_calls BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    client_cost BIGINT NOT NULL,
    provider_cost BIGINT NOT NULL,
    credits BIGINT NOT NULL,
    latency_ms BIGINT NOT NULL,
    PRIMARY KEY (team_id, day, job_type)
);
