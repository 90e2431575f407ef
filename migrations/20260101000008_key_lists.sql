-- Lists of keys in the orders that administrators ask for. Keys change rarely; their last use is
-- written about once a minute.
CREATE INDEX virtual_keys_by_time ON virtual_keys (created_at, id);
CREATE INDEX virtual_keys_by_use ON virtual_keys ((COALESCE(used_at, 0)), id);
CREATE INDEX virtual_keys_by_end ON virtual_keys
    ((COALESCE(expires_at, 9223372036854775807)), id);
