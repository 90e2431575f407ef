-- What a job that does not complete is charged, how its credits are rounded and what it may cost
-- the operator; credits that a team owes because its account could not pay for work already done.

-- Without it, by the budget mode: never for job_based, used for the others.
ALTER TABLE teams ADD COLUMN charge_failed TEXT
    CHECK (charge_failed IN ('never', 'used', 'always'));
ALTER TABLE teams ADD COLUMN rounding TEXT NOT NULL DEFAULT 'down'
    CHECK (rounding IN ('down', 'up'));
-- Nano-dollars that a job of a job_based team may cost the operator.
ALTER TABLE teams ADD COLUMN job_cost_max BIGINT CHECK (job_cost_max > 0);

-- The terms of jobs. Those that exist keep the ones under which they were created.
ALTER TABLE jobs ADD COLUMN charge_failed TEXT NOT NULL DEFAULT 'never'
    CHECK (charge_failed IN ('never', 'used', 'always'));
ALTER TABLE jobs ADD COLUMN rounding TEXT NOT NULL DEFAULT 'down'
    CHECK (rounding IN ('down', 'up'));
ALTER TABLE jobs ADD COLUMN job_cost_max BIGINT CHECK (job_cost_max > 0);

-- What the account could not pay. The next credits that come in pay it first. What earlier versions
-- reported as a shortfall stays unpaid, as it was.
ALTER TABLE accounts ADD COLUMN owed BIGINT NOT NULL DEFAULT 0 CHECK (owed >= 0);
-- By how much an entry changed what is owed: above zero for a shortfall, below for a payment.
ALTER TABLE ledger_entries ADD COLUMN debt BIGINT NOT NULL DEFAULT 0;
-- The call whose settlement was charged after its job had ended.
ALTER TABLE ledger_entries ADD COLUMN call_id TEXT;

-- Exactly once: the end of a job and each later settlement have one deduction at most.
DROP INDEX ledger_entries_one_deduction;
CREATE UNIQUE INDEX ledger_entries_one_deduction ON ledger_entries (job_id, COALESCE(call_id, ''))
    WHERE kind = 'deduction';
-- Ended jobs whose calls in flight still hold credits.
CREATE INDEX jobs_held_after_end ON jobs (team_id, created_at, id)
    WHERE hold > 0 AND state IN ('completed', 'failed', 'cancelled');
