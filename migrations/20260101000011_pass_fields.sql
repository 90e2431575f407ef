-- Fields of requests that a provider of kind openai is sent although the gateway does not know them: names between
-- commas. Others are refused, because they might change what the provider asks for.
ALTER TABLE providers ADD COLUMN pass_fields TEXT NOT NULL DEFAULT '';
