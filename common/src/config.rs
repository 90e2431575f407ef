//! Configuration: one table of settings, from which the file, the environment, the commented
//! default and the effective view are all made.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::db::{DatabaseUrl, Synchronous};
use ipnet::IpNet;
use settings::{SETTINGS, Setting};

mod settings;
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
    /// How long a caller may take to send the header of a request.
    pub header_timeout: Duration,
    /// How long a connection may be idle between two requests.
    pub keepalive: Duration,
    /// How many connections there may be; half of the file descriptors if 0.
    pub connections_max: usize,
    /// How many of them may come from one address; half of all if 0.
    pub address_connections_max: usize,
    /// Addresses of balancers and proxies, from which all connections may come.
    pub trusted_addresses: Vec<IpNet>,
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
    /// How long new work waits for the database before it is refused.
    pub database_wait: Duration,
    /// How old the policy may be before requests are refused.
    pub policy_age_max: Duration,
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
    /// How many lists of one team are read at once.
    pub team_lists_max: usize,
    /// The memory of streamed answers that are recorded to be replayed.
    pub recorded_bytes_max: usize,
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
    /// How many jobs of a team that were refused are recorded in a minute.
    pub refused_jobs_max: u32,
    /// After how long ended jobs and their calls are deleted; never if zero.
    pub job_retention: Duration,
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

impl Default for Config {
    fn default() -> Self {
        let mut config = Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            threads: 0,
            shutdown_grace: Duration::ZERO,
            header_timeout: Duration::ZERO,
            keepalive: Duration::ZERO,
            connections_max: 0,
            address_connections_max: 0,
            trusted_addresses: Vec::new(),
            cors_origins: Vec::new(),
            database: DatabaseUrl::sqlite("tollgate.db"),
            database_connections: 0,
            synchronous: Synchronous::Normal,
            connect_timeout: Duration::ZERO,
            statement_timeout: Duration::ZERO,
            database_wait: Duration::ZERO,
            policy_age_max: Duration::ZERO,
            secret_key_file: PathBuf::new(),
            call_body_bytes_max: 0,
            body_bytes_max: 0,
            response_bytes_max: 0,
            body_read_timeout: Duration::ZERO,
            team_lists_max: 0,
            recorded_bytes_max: 0,
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
            refused_jobs_max: 0,
            job_retention: Duration::ZERO,
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
