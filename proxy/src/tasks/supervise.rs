//! Watches the writer and the background tasks: without any of them the process must not go on.

use std::collections::HashMap;

use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinHandle, JoinSet};

/// Background tasks by name.
#[derive(Debug, Default)]
pub(crate) struct Supervised {
    tasks: JoinSet<()>,
    names: HashMap<Id, &'static str>,
}

impl Supervised {
    /// Starts a task.
    pub(crate) fn spawn(
        &mut self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let handle = self.tasks.spawn(task);
        self.names.insert(handle.id(), name);
    }

    /// Waits until all tasks have ended because they were told to stop, and returns the writer,
    /// which ends last. If the writer or a task ends before, says which one and why.
    pub(crate) async fn watch(
        mut self,
        mut writer: JoinHandle<()>,
        stop: watch::Receiver<bool>,
    ) -> Result<JoinHandle<()>, String> {
        loop {
            let ended = tokio::select! {
                ended = self.tasks.join_next_with_id() => ended,
                ended = &mut writer => return Err(reason("the ledger's writer", ended)),
            };
            let Some(ended) = ended else {
                return Ok(writer);
            };
            let id = ended.as_ref().map_or_else(JoinError::id, |(id, ())| *id);
            let ended = ended.map(|(_, ())| ());
            if ended.is_err() || !*stop.borrow() {
                let name = self.names.get(&id).copied().unwrap_or("?");
                return Err(reason(&format!("the background task {name}"), ended));
            }
        }
    }
}

fn reason(what: &str, ended: Result<(), JoinError>) -> String {
    match ended {
        Ok(()) => format!("{what} has ended"),
        Err(error) => format!("{what} has failed: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A writer and tasks, one of which ends as `end` says.
    async fn watch_with(
        end: impl Future<Output = ()> + Send + 'static,
        stops: bool,
    ) -> Result<(), String> {
        let (_stop, stop) = watch::channel(stops);
        let mut tasks = Supervised::default();
        if !stops {
            tasks.spawn("idle", std::future::pending());
        }
        tasks.spawn("some", end);
        let writer = tokio::spawn(std::future::pending());
        tasks.watch(writer, stop).await.map(drop)
    }

    #[tokio::test]
    async fn a_task_that_ends_or_panics_is_named() {
        let ended = watch_with(std::future::ready(()), false).await;
        assert_eq!(ended.unwrap_err(), "the background task some has ended");
        let panicked = watch_with(async { panic!("an index") }, false).await;
        let reason = panicked.unwrap_err();
        assert!(
            reason.starts_with("the background task some has failed: "),
            "{reason}"
        );
    }

    #[tokio::test]
    async fn a_writer_that_ends_is_noticed_and_a_stop_is_no_failure() {
        let (_stop, stop) = watch::channel(false);
        let mut tasks = Supervised::default();
        tasks.spawn("idle", std::future::pending());
        let watched = tasks.watch(tokio::spawn(async {}), stop).await;
        assert_eq!(watched.unwrap_err(), "the ledger's writer has ended");
        watch_with(std::future::ready(()), true).await.unwrap();
    }
}
