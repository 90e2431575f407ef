-- A list may say what a model costs from a later day on beside what it costs now, and a later
-- import may confirm what an earlier one said. Nothing was written into this table before.
DROP TABLE price_versions;

-- Every version of every imported price. Those in force are the current ones of their model.
CREATE TABLE price_versions (
    -- Who asks the price, as the catalogue names them.
    maker TEXT NOT NULL,
    model TEXT NOT NULL,
    -- The import that brought it.
    import_number BIGINT NOT NULL,
    -- Days since 1970; 0 if the list does not say when the price began.
    starts_on BIGINT NOT NULL,
    rate_card TEXT NOT NULL,
    output_tokens_max BIGINT,
    context_tokens_max BIGINT,
    is_current INTEGER NOT NULL,
    -- The latest import that said the same.
    confirmed_by BIGINT NOT NULL,
    PRIMARY KEY (maker, model, import_number, starts_on)
);

CREATE INDEX price_versions_current ON price_versions (maker, model) WHERE is_current = 1;

-- When the price of the alias was set; nothing if it has none, or was set by an earlier release.
ALTER TABLE models ADD COLUMN price_set_at BIGINT;
