-- Why an administrator did something, from where, and what it was like before.

ALTER TABLE audit_log ADD COLUMN reason TEXT;
-- The address that the administrator's session came from, if it is known.
ALTER TABLE audit_log ADD COLUMN origin TEXT;
-- What the change has replaced, as JSON with the keys of detail.
ALTER TABLE audit_log ADD COLUMN before TEXT;
