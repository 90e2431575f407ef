//! Configuration: one table of settings, from which the file, the environment, the commented
//! default and the effective view are all made.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::db::{DatabaseUrl, Synchronous};

#[cfg(test)]
mod tests;

/// The file that is read if it is there and nobody names another.
pub const DEFAULT_FILE: &str = "tollgate.toml";

/// The effective configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the proxy listens.
    pub listen: SocketAddr,
    /// Worker threads of the proxy; as many as cores if 0.
    pub threads: usize,
    /// How long a stopping proxy waits for requests under way.
    pub shutdown_grace: Duration,
    /// Origins of browsers that may call the API.
    pub cors_origins: Vec<String>,
    /// Where the data is.
    pub database: DatabaseUrl,
    /// Connections for reading (SQLite) or for everything (PostgreSQL).
    pub database_connections: u32,
    /// When SQLite waits for the disk.
    pub synchronous: Synchronous,
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// How long a statement may take on PostgreSQL.
    pub statement_timeout: Duration,
    /// The file that holds the key which seals provider keys.
    pub secret_key_file: PathBuf,
    /// The largest body of an LLM call.
    pub call_body_bytes_max: usize,
    /// The largest body of any other request.
    pub body_bytes_max: usize,
    /// The largest answer taken from a provider.
    pub response_bytes_max: usize,
    /// How long a caller may take to send its body.
    pub body_read_timeout: Duration,
    /// How long connecting to a provider may take, TLS included.
    pub upstream_connect_timeout: Duration,
    /// How long a provider may take until a streamed answer begins.
    pub upstream_first_byte_timeout: Duration,
    /// How long a provider may pause within a streamed answer.
    pub upstream_idle_timeout: Duration,
    /// How long a whole answer may take, unless its model has a time of its own.
    pub upstream_total_timeout: Duration,
    /// How many idle connections to providers are kept.
    pub upstream_keepalive_connections: usize,
    /// How many tries a call has at most, the first among them.
    pub tries_max: u32,
    /// The longest pause before a try.
    pub retry_pause_max: Duration,
    /// So many failures open the circuit of a model or a host.
    pub breaker_failures: u32,
    /// How long it stays open the first time.
    pub breaker_pause: Duration,
    /// After how much silence a streamed answer gets a sign of life.
    pub stream_heartbeat: Duration,
    /// How long a streamed answer may take altogether.
    pub stream_total_timeout: Duration,
    /// How long a streamed answer is finished after its caller has left.
    pub stream_drain: Duration,
    /// The memory of the response cache.
    pub cache_bytes_max: usize,
    /// After how long without a call an open job expires as failed.
    pub job_expiry: Duration,
    /// The largest metadata of a job, as JSON.
    pub metadata_bytes_max: usize,
    /// The answer's length that is held for if neither caller nor model limits it.
    pub default_output_tokens_max: i64,
    /// What is logged, as `info` or `tollgate=debug,info`.
    pub log_filter: String,
    /// Whether log lines are JSON.
    pub log_json: bool,
}

/// One thing that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// File and line, or the variable.
    pub place: String,
    /// What is wrong and what would be right.
    pub message: String,
}

/// All that is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
#[error("the configuration is not valid:{}", listed(.0))]
pub struct InvalidConfig(pub Vec<Problem>);

fn listed(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(|p| format!("\n  {}: {}", p.place, p.message))
        .collect()
}

struct Setting {
    /// `section.key` in the file, `TOLLGATE_SECTION_KEY` in the environment.
    name: &'static str,
    /// The default as TOML.
    default: &'static str,
    /// What it means.
    doc: &'static str,
    apply: fn(&mut Config, &str) -> Result<(), String>,
}

impl Setting {
    fn variable(&self) -> String {
        format!("TOLLGATE_{}", self.name.replace('.', "_").to_uppercase())
    }

    fn section_and_key(&self) -> (&'static str, &'static str) {
        self.name.split_once('.').unwrap_or(("", self.name))
    }

    /// The default without TOML's quotes.
    fn default_text(&self) -> &'static str {
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

const SETTINGS: &[Setting] = &[
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

impl Default for Config {
    fn default() -> Self {
        let mut config = Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            threads: 0,
            shutdown_grace: Duration::ZERO,
            cors_origins: Vec::new(),
            database: DatabaseUrl::sqlite("tollgate.db"),
            database_connections: 0,
            synchronous: Synchronous::Normal,
            connect_timeout: Duration::ZERO,
            statement_timeout: Duration::ZERO,
            secret_key_file: PathBuf::new(),
            call_body_bytes_max: 0,
            body_bytes_max: 0,
            response_bytes_max: 0,
            body_read_timeout: Duration::ZERO,
            upstream_connect_timeout: Duration::ZERO,
            upstream_first_byte_timeout: Duration::ZERO,
            upstream_idle_timeout: Duration::ZERO,
            upstream_total_timeout: Duration::ZERO,
            upstream_keepalive_connections: 0,
            tries_max: 0,
            retry_pause_max: Duration::ZERO,
            breaker_failures: 0,
            breaker_pause: Duration::ZERO,
            stream_heartbeat: Duration::ZERO,
            stream_total_timeout: Duration::ZERO,
            stream_drain: Duration::ZERO,
            cache_bytes_max: 0,
            job_expiry: Duration::ZERO,
            metadata_bytes_max: 0,
            default_output_tokens_max: 0,
            log_filter: String::new(),
            log_json: false,
        };
        for setting in SETTINGS {
            let applied = (setting.apply)(&mut config, setting.default_text());
            debug_assert!(
                applied.is_ok(),
                "the default of {} is not valid",
                setting.name
            );
        }
        config
    }
}

impl Config {
    /// Reads the file (the one named, else `./tollgate.toml` if it is there), then the environment,
    /// which wins. Reports everything that is wrong at once.
    pub fn load(
        file: Option<&Path>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, InvalidConfig> {
        let mut config = Self::default();
        let mut problems = Vec::new();
        let default_file = Path::new(DEFAULT_FILE);
        if let Some(path) = file.or_else(|| default_file.exists().then_some(default_file)) {
            match std::fs::read_to_string(path) {
                Ok(text) => config.apply_file(&path.display().to_string(), &text, &mut problems),
                Err(error) => problems.push(Problem {
                    place: path.display().to_string(),
                    message: format!("cannot be read: {error}"),
                }),
            }
        }
        config.apply_environment(environment, &mut problems);
        if problems.is_empty() {
            Ok(config)
        } else {
            Err(InvalidConfig(problems))
        }
    }

    fn apply_file(&mut self, name: &str, text: &str, problems: &mut Vec<Problem>) {
        let line_at = |offset: usize| text[..offset.min(text.len())].matches('\n').count() + 1;
        let mut report = |offset, message| {
            problems.push(Problem {
                place: format!("{name}:{}", line_at(offset)),
                message,
            });
        };
        let (table, errors) = toml::de::DeTable::parse_recoverable(text);
        for error in errors {
            report(
                error.span().map_or(0, |span| span.start),
                error.message().to_owned(),
            );
        }
        for (section, value) in table.get_ref() {
            let Some(entries) = value.get_ref().as_table() else {
                report(
                    section.span().start,
                    format!("'{}' is not a section", section.get_ref()),
                );
                continue;
            };
            for (key, value) in entries {
                let full_name = format!("{}.{}", section.get_ref(), key.get_ref());
                if let Err(message) = self.apply_value(&full_name, value.get_ref()) {
                    report(key.span().start, message);
                }
            }
        }
    }

    fn apply_value(&mut self, name: &str, value: &toml::de::DeValue<'_>) -> Result<(), String> {
        let setting = SETTINGS
            .iter()
            .find(|setting| setting.name == name)
            .ok_or_else(|| {
                format!("unknown setting '{name}'; see tollgate config default for all there are")
            })?;
        let text = match value {
            toml::de::DeValue::String(text) => text.to_string(),
            toml::de::DeValue::Integer(number) => number.to_string(),
            toml::de::DeValue::Boolean(flag) => flag.to_string(),
            _ => {
                return Err(format!(
                    "{name} must be a string, a whole number or a boolean"
                ));
            }
        };
        (setting.apply)(self, &text).map_err(|why| format!("{name} {why}"))
    }

    fn apply_environment(
        &mut self,
        environment: impl Fn(&str) -> Option<String>,
        problems: &mut Vec<Problem>,
    ) {
        let mut apply = |setting: &Setting, variable: String| {
            if let Some(text) = environment(&variable).filter(|text| !text.is_empty())
                && let Err(why) = (setting.apply)(self, &text)
            {
                problems.push(Problem {
                    place: variable,
                    message: format!("{} {why}", setting.name),
                });
            }
        };
        for setting in SETTINGS {
            if setting.name == "database.url" {
                apply(setting, "DATABASE_URL".to_owned());
            }
            apply(setting, setting.variable());
        }
    }

    /// The commented default file.
    pub fn default_file() -> String {
        let mut text = "# Tollgate configuration. Every setting can also come from the environment:\n\
                        # TOLLGATE_SERVER_LISTEN for server.listen, and so on; the environment wins.\n"
            .to_owned();
        let mut current = "";
        for setting in SETTINGS {
            let (section, key) = setting.section_and_key();
            if section != current {
                let _ = write!(text, "\n[{section}]\n");
                current = section;
            }
            let _ = write!(text, "# {}\n{key} = {}\n", setting.doc, setting.default);
        }
        text
    }
}
