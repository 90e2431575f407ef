//! Server-sent events.

/// An event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// What it is called, if it is.
    pub(crate) name: Option<String>,
    /// What it says.
    pub(crate) data: String,
}
