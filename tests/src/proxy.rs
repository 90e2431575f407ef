//! A running proxy.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use crate::client::Client;
use crate::fixture::Team;
use crate::process::{Environment, Process, free_port};
use crate::wait;

/// How often another port is tried if a process beside this one was faster.
const ATTEMPTS_MAX: u32 = 3;

/// A process of `tollgate serve`. Dropping it kills it.
#[derive(Debug)]
pub struct Proxy {
    process: Process,
    port: u16,
    folder: PathBuf,
    environment: Environment,
}

impl Proxy {
    /// Starts a proxy on a free port and waits until it serves.
    pub async fn start(folder: &Path, environment: &Environment) -> Self {
        for attempt in 1.. {
            let mut proxy = Self::spawn(folder, environment, free_port());
            match proxy.wait_until_ready().await {
                Ok(()) => return proxy,
                Err(log) if attempt == ATTEMPTS_MAX || !log.contains("in use") => {
                    panic!("the proxy ended instead of serving:\n{log}")
                }
                Err(_) => {}
            }
        }
        unreachable!("the last attempt panics");
    }

    fn spawn(folder: &Path, environment: &Environment, port: u16) -> Self {
        let mut own = environment.clone();
        own.push((
            "TOLLGATE_SERVER_LISTEN".to_owned(),
            format!("127.0.0.1:{port}"),
        ));
        let log = folder.join(format!("proxy-{port}.log"));
        Self {
            process: Process::spawn("tollgate", &["serve"], folder, &own, log),
            port,
            folder: folder.to_owned(),
            environment: environment.clone(),
        }
    }

    async fn wait_until_ready(&mut self) -> Result<(), String> {
        let http = Client::new(self.port, "");
        wait::until("the proxy serves", async || {
            if self.process.ended().is_some() {
                return Some(Err(self.process.log()));
            }
            let ready = http.try_get("/readyz").await;
            ready.ok().filter(|a| a.status == 200).map(|_| Ok(()))
        })
        .await
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again on its port after it has ended, and waits until it serves.
    pub async fn restart(&mut self) {
        *self = Self::spawn(&self.folder, &self.environment, self.port);
        if let Err(log) = self.wait_until_ready().await {
            panic!("the proxy ended instead of serving again:\n{log}");
        }
    }

    /// Asks it to stop, as a service manager does.
    pub fn terminate(&self) {
        self.process.terminate();
    }

    /// Waits until it has ended.
    pub async fn wait(&mut self) -> ExitStatus {
        self.process.wait().await
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// The id of its process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// The port it listens on.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// A client that shows the key of this team.
    pub fn client(&self, team: Team) -> Client {
        Client::new(self.port, team.key).of_team(team.id)
    }

    /// A client that shows this key, or none if it is empty.
    pub fn client_with_key(&self, key: &str) -> Client {
        Client::new(self.port, key)
    }
}
