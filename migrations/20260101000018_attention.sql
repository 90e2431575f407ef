-- What administrators are shown first, without reading all calls and accounts for it.

-- Calls whose provider counted what the request made impossible: charged at the worst case.
CREATE INDEX calls_implausible ON calls (id) WHERE usage_note = 'implausible';
-- What providers ask for calls that nobody was charged for.
CREATE INDEX calls_uncharged ON calls (id) WHERE provider_cost > 0 AND client_cost = 0;
-- Teams that owe credits.
CREATE INDEX accounts_owing ON accounts (owed, team_id) WHERE owed > 0;
