//! Answers in the callers' dialects.

pub(crate) mod envelope;
pub(crate) mod messages;
