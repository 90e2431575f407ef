//! Waiting on conditions, never on time alone.

use std::time::{Duration, Instant};

/// How long a condition may take on a slow, busy machine before the test fails.
pub const DEADLINE: Duration = Duration::from_mins(1);

/// How long to pause between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(20);

/// Looks at a condition again and again, and fails the test when that has taken too long.
#[derive(Debug)]
pub struct Patience {
    what: String,
    begun: Instant,
    deadline: Duration,
}

impl Patience {
    /// Waits until `what` for [`DEADLINE`] at most.
    pub fn new(what: &str) -> Self {
        Self {
            what: what.to_owned(),
            begun: Instant::now(),
            deadline: DEADLINE,
        }
    }

    /// A moment until the next look.
    pub async fn pause(&self) {
        assert!(
            self.begun.elapsed() < self.deadline,
            "waited {} s in vain until {}",
            self.deadline.as_secs(),
            self.what
        );
        tokio::time::sleep(PAUSE).await;
    }
}

/// Asks until there is an answer, and fails the test if there is none before [`DEADLINE`].
pub async fn until<T>(what: &str, ask: impl AsyncFnMut() -> Option<T>) -> T {
    until_within(DEADLINE, what, ask).await
}

/// Asks until there is an answer, and fails the test if there is none in time.
pub async fn until_within<T>(
    deadline: Duration,
    what: &str,
    mut ask: impl AsyncFnMut() -> Option<T>,
) -> T {
    let patience = Patience {
        deadline,
        ..Patience::new(what)
    };
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        patience.pause().await;
    }
}
