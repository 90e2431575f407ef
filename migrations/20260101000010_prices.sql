-- Prices with every member that providers ask for, in pico-dollars (10^-12 $) per token, and what
-- each call was charged by.

-- What calls were charged by. Rows are named by their content and never change; a call names one,
-- so that it writes a short id. Fees are nano-dollars per billed call, nothing if nobody knew one.
CREATE TABLE prices (
    id TEXT PRIMARY KEY,
    source TEXT NOT NULL,
    version TEXT NOT NULL,
    -- Days since 1970.
    effective_from BIGINT,
    service_tier TEXT NOT NULL,
    above_prompt_tokens BIGINT NOT NULL,
    input BIGINT NOT NULL,
    cache_read BIGINT NOT NULL,
    cache_write BIGINT NOT NULL,
    cache_write_1h BIGINT NOT NULL,
    input_audio BIGINT NOT NULL,
    audio_cache_read BIGINT NOT NULL,
    input_image BIGINT NOT NULL,
    output BIGINT NOT NULL,
    output_reasoning BIGINT NOT NULL,
    output_audio BIGINT NOT NULL,
    output_image BIGINT NOT NULL,
    web_search_fee BIGINT,
    file_search_fee BIGINT,
    code_execution_fee BIGINT,
    request_fee BIGINT,
    -- Members that no list named: bits.
    assumed BIGINT NOT NULL
);

-- Calls of earlier releases have price_version, input_price and their neighbours instead.
ALTER TABLE calls ADD COLUMN price_id TEXT;
ALTER TABLE calls ADD COLUMN service_tier TEXT NOT NULL DEFAULT 'standard';
ALTER TABLE calls ADD COLUMN input_cache_write_1h BIGINT NOT NULL DEFAULT 0;
ALTER TABLE calls ADD COLUMN input_audio BIGINT NOT NULL DEFAULT 0;
ALTER TABLE calls ADD COLUMN input_audio_cache_read BIGINT NOT NULL DEFAULT 0;
ALTER TABLE calls ADD COLUMN input_image BIGINT NOT NULL DEFAULT 0;
ALTER TABLE calls ADD COLUMN output_audio BIGINT NOT NULL DEFAULT 0;
ALTER TABLE calls ADD COLUMN output_image BIGINT NOT NULL DEFAULT 0;
ALTER TABLE calls ADD COLUMN web_searches BIGINT NOT NULL DEFAULT 0;
ALTER TABLE calls ADD COLUMN file_searches BIGINT NOT NULL DEFAULT 0;
ALTER TABLE calls ADD COLUMN code_executions BIGINT NOT NULL DEFAULT 0;
ALTER TABLE calls ADD COLUMN billed_requests BIGINT NOT NULL DEFAULT 0;

-- A price of the alias: a rate card as JSON. The columns input_price and its neighbours are of
-- earlier releases.
ALTER TABLE models ADD COLUMN rate_card TEXT;
UPDATE models
SET rate_card = '{"standard":{"base":{"input":' || CAST(input_price * 1000 AS TEXT)
    || ',"output":' || CAST(output_price * 1000 AS TEXT)
    || COALESCE(',"cache_read":' || CAST(cache_read_price * 1000 AS TEXT), '')
    || COALESCE(',"cache_write":' || CAST(cache_write_price * 1000 AS TEXT), '')
    || '}}}'
WHERE input_price IS NOT NULL AND output_price IS NOT NULL;

-- Price lists that an administrator has imported, the newest with the highest number.
CREATE TABLE price_imports (
    number BIGINT PRIMARY KEY,
    -- Which list: genai-prices, models.dev or litellm.
    format TEXT NOT NULL,
    file_name TEXT NOT NULL,
    file_sha256 TEXT NOT NULL,
    imported_at BIGINT NOT NULL,
    actor TEXT NOT NULL
);

-- Every version of every imported price. The one in force is the current one of its model.
CREATE TABLE price_versions (
    -- Who asks the price, as the catalogue names them.
    maker TEXT NOT NULL,
    model TEXT NOT NULL,
    import_number BIGINT NOT NULL,
    effective_from BIGINT,
    rate_card TEXT NOT NULL,
    output_tokens_max BIGINT,
    context_tokens_max BIGINT,
    is_current INTEGER NOT NULL,
    PRIMARY KEY (maker, model, import_number)
);

CREATE INDEX price_versions_current ON price_versions (maker, model) WHERE is_current = 1;
