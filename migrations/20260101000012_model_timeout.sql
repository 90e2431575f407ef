-- A whole answer comes only when it is done, and models differ in how long that takes. So the time
-- that a provider has for it is a setting of the model. Empty means the setting of the proxy.
ALTER TABLE models ADD COLUMN timeout_ms BIGINT;
