//! The table of settings.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::Config;

pub(super) struct Setting {
    /// `section.key` in the file, `TOLLGATE_SECTION_KEY` in the environment.
    pub(super) name: &'static str,
    /// The default as TOML.
    pub(super) default: &'static str,
    /// What it means.
    pub(super) doc: &'static str,
    pub(super) apply: fn(&mut Config, &str) -> Result<(), String>,
}

impl Setting {
    pub(super) fn variable(&self) -> String {
        format!("TOLLGATE_{}", self.name.replace('.', "_").to_uppercase())
    }

    pub(super) fn section_and_key(&self) -> (&'static str, &'static str) {
        self.name.split_once('.').unwrap_or(("", self.name))
    }

    /// The default without TOML's quotes.
    pub(super) fn default_text(&self) -> &'static str {
        self.default.trim_matches('"')
    }
}

fn number<T: TryFrom<i64>>(text: &str, least: i64, most: i64) -> Result<T, String> {
    text.parse::<i64>()
        .ok()
        .filter(|n| (least..=most).contains(n))
        .and_then(|n| T::try_from(n).ok())
        .ok_or_else(|| format!("must be a whole number from {least} to {most}"))
}

fn millis(text: &str) -> Result<Duration, String> {
    number(text, 1, 86_400_000).map(Duration::from_millis)
}

fn seconds(text: &str) -> Result<Duration, String> {
    number(text, 0, 31_536_000).map(Duration::from_secs)
}

/// Networks separated by commas; an address alone is a network of one.
fn networks(text: &str) -> Result<Vec<IpNet>, String> {
    let parse = |part: &str| {
        part.parse::<IpNet>()
            .or_else(|_| part.parse::<IpAddr>().map(IpNet::from))
            .map_err(|_| format!("must be addresses or networks; '{part}' is neither"))
    };
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(parse)
        .collect()
}

macro_rules! setting {
    ($name:literal, $default:expr, $doc:literal, $field:ident, $parse:expr) => {
        Setting {
            name: $name,
            default: $default,
            doc: $doc,
            apply: |config, text| {
                let parse: fn(&str) -> Result<_, String> = $parse;
                config.$field = parse(text)?;
                Ok(())
            },
        }
    };
}

pub(super) const SETTINGS: &[Setting] = &[
    setting!(
        "server.listen",
        "\"127.0.0.1:8003\"",
        "Address and port that the proxy listens on.",
        listen,
        |t| {
            t.parse()
                .map_err(|_| "must be an address and a port, as 127.0.0.1:8003".to_owned())
        }
    ),
    setting!(
        "server.threads",
        "0",
        "Worker threads; 0 means one per core.",
        threads,
        |t| number(t, 0, 1_024)
    ),
    setting!(
        "server.shutdown_grace_seconds",
        "30",
        "How long a stopping proxy waits for requests under way.",
        shutdown_grace,
        seconds
    ),
    setting!(
        "server.header_timeout_ms",
        "10000",
        "How long a caller may take to send the header of a request.",
        header_timeout,
        millis
    ),
    setting!(
        "server.keepalive_seconds",
        "75",
        "How long a connection may be idle between two requests.",
        keepalive,
        |t| number(t, 1, 86_400).map(Duration::from_secs)
    ),
    setting!(
        "server.connections",
        "0",
        "How many connections there may be; 0 means half of the file descriptors.",
        connections_max,
        |t| number(t, 0, 10_000_000)
    ),
    setting!(
        "server.connections_per_address",
        "0",
        "How many connections one address (IPv6: one /64 network) may have; 0 means half of all.",
        address_connections_max,
        |t| number(t, 0, 10_000_000)
    ),
    setting!(
        "server.trusted_addresses",
        "\"\"",
        "Load balancers and proxies in front, as 10.0.0.0/8,192.0.2.7: each may have all connections.",
        trusted_addresses,
        networks
    ),
    setting!(
        "server.cors_origins",
        "\"http://localhost:3001,http://localhost:3002,http://127.0.0.1:3001,http://127.0.0.1:3002\"",
        "Origins of browser applications that may call the API, separated by commas.",
        cors_origins,
        |t| Ok(t
            .split(',')
            .map(str::trim)
            .filter(|o| !o.is_empty())
            .map(str::to_owned)
            .collect())
    ),
    setting!(
        "database.url",
        "\"sqlite:tollgate.db\"",
        "sqlite:FILE, or postgres://USER:PASSWORD@HOST/DATABASE. DATABASE_URL is read too.",
        database,
        str::parse
    ),
    setting!(
        "database.connections",
        "8",
        "Connections for reading (SQLite) or for everything (PostgreSQL).",
        database_connections,
        |t| number(t, 2, 1_000)
    ),
    setting!(
        "database.synchronous",
        "\"normal\"",
        "SQLite only. normal survives a crash of the process, full a loss of power too.",
        synchronous,
        str::parse
    ),
    setting!(
        "database.connect_timeout_ms",
        "5000",
        "How long to wait for a database connection.",
        connect_timeout,
        millis
    ),
    setting!(
        "database.statement_timeout_ms",
        "10000",
        "PostgreSQL only. How long a statement may take.",
        statement_timeout,
        millis
    ),
    setting!(
        "database.wait_timeout_ms",
        "5000",
        "How long new work waits for the database before it is refused with 503.",
        database_wait,
        millis
    ),
    setting!(
        "database.policy_age_max_seconds",
        "60",
        "Requests are refused with 503 if keys, teams and models could not be read for so long.",
        policy_age_max,
        |t| number(t, 1, 31_536_000).map(Duration::from_secs)
    ),
    setting!(
        "secrets.key_file",
        "\"tollgate.key\"",
        "File (mode 0600) with the key that seals provider keys. TOLLGATE_SECRET_KEY holds the key itself instead.",
        secret_key_file,
        |t| Ok(PathBuf::from(t))
    ),
    setting!(
        "limits.call_body_bytes",
        "10485760",
        "Largest body of an LLM call.",
        call_body_bytes_max,
        |t| number(t, 1_024, 1_073_741_824)
    ),
    setting!(
        "limits.body_bytes",
        "1048576",
        "Largest body of any other request.",
        body_bytes_max,
        |t| number(t, 1_024, 1_073_741_824)
    ),
    setting!(
        "limits.response_bytes",
        "67108864",
        "Largest answer taken from a provider.",
        response_bytes_max,
        |t| number(t, 1_024, 1_073_741_824)
    ),
    setting!(
        "limits.body_read_timeout_ms",
        "30000",
        "How long a caller may take to send its body.",
        body_read_timeout,
        millis
    ),
    setting!(
        "limits.lists_per_team",
        "2",
        "How many lists of one team are read at once; further ones wait.",
        team_lists_max,
        |t| number(t, 1, 1_000)
    ),
    setting!(
        "limits.recorded_bytes",
        "134217728",
        "Memory of streamed answers that are recorded for their Idempotency-Key.",
        recorded_bytes_max,
        |t| number(t, 0, 1_099_511_627_776)
    ),
    setting!(
        "upstream.connect_timeout_ms",
        "5000",
        "How long connecting to a provider may take, TLS included.",
        upstream_connect_timeout,
        millis
    ),
    setting!(
        "upstream.first_byte_timeout_ms",
        "120000",
        "How long a provider may take until a streamed answer begins.",
        upstream_first_byte_timeout,
        millis
    ),
    setting!(
        "upstream.idle_timeout_ms",
        "120000",
        "How long a provider may pause within a streamed answer.",
        upstream_idle_timeout,
        millis
    ),
    setting!(
        "upstream.total_timeout_ms",
        "300000",
        "How long a whole answer may take, or a streamed one until it begins; models may have their own.",
        upstream_total_timeout,
        millis
    ),
    setting!(
        "upstream.keepalive_connections",
        "256",
        "Idle connections to providers that are kept.",
        upstream_keepalive_connections,
        |t| number(t, 1, 100_000)
    ),
    setting!(
        "routing.tries",
        "3",
        "How many tries a call has at most, over all keys and models that may serve it.",
        tries_max,
        |t| number(t, 1, 100)
    ),
    setting!(
        "routing.retry_pause_max_ms",
        "5000",
        "Longest pause before a try. A provider that asks for more is not tried again.",
        retry_pause_max,
        millis
    ),
    setting!(
        "routing.breaker_failures",
        "5",
        "So many failures open the circuit of a model or a host for a while.",
        breaker_failures,
        |t| number(t, 1, 1_000_000)
    ),
    setting!(
        "routing.breaker_pause_ms",
        "5000",
        "How long it stays open; twice as long after each failed probe, up to two minutes.",
        breaker_pause,
        millis
    ),
    setting!(
        "streams.heartbeat_ms",
        "15000",
        "After how much silence a streamed answer gets a comment as a sign of life.",
        stream_heartbeat,
        millis
    ),
    setting!(
        "streams.total_timeout_ms",
        "3600000",
        "How long a streamed answer may take altogether.",
        stream_total_timeout,
        millis
    ),
    setting!(
        "streams.drain_ms",
        "120000",
        "How long a streamed answer is finished after its caller has left.",
        stream_drain,
        millis
    ),
    setting!(
        "cache.bytes",
        "67108864",
        "Memory of the response cache, which teams and requests opt in to.",
        cache_bytes_max,
        |t| number(t, 0, 1_099_511_627_776)
    ),
    setting!(
        "jobs.expiry_seconds",
        "86400",
        "After how long without a call an open job expires as failed and releases its credits.",
        job_expiry,
        |t| number(t, 1, 31_536_000).map(Duration::from_secs)
    ),
    setting!(
        "jobs.refused_per_minute",
        "60",
        "How many refused jobs of a team are recorded in a minute; further ones are only answered.",
        refused_jobs_max,
        |t| number(t, 0, 1_000_000)
    ),
    setting!(
        "jobs.retention_days",
        "0",
        "After how many days ended jobs and their calls are deleted; 0 keeps them. Ledger entries and daily sums stay.",
        job_retention,
        |t| number(t, 0, 36_500).map(|days: u64| Duration::from_hours(24 * days))
    ),
    setting!(
        "jobs.metadata_bytes",
        "10240",
        "Largest metadata of a job, as JSON.",
        metadata_bytes_max,
        |t| number(t, 2, 1_048_576)
    ),
    setting!(
        "calls.default_output_tokens",
        "4096",
        "Answer length that is held for (consumption modes) if neither caller nor model limits it.",
        default_output_tokens_max,
        |t| number(t, 1, 10_000_000)
    ),
    setting!(
        "log.filter",
        "\"info\"",
        "What is logged, as info or tollgate=debug,info.",
        log_filter,
        |t| Ok(t.to_owned())
    ),
    setting!(
        "log.json",
        "false",
        "Whether log lines are JSON.",
        log_json,
        |t| { t.parse().map_err(|_| "must be true or false".to_owned()) }
    ),
];
