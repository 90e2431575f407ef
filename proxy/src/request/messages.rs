//! Anthropic's Messages API as callers speak it: <https://docs.anthropic.com/en/api/messages>.

use super::CallRequest;
use crate::error::ApiError;

/// Parses a body of `POST /v1/messages`; reports everything that is wrong with it.
pub(crate) fn parse(_body: &[u8]) -> Result<CallRequest<'_>, ApiError> {
    Err(ApiError::field("messages", "cannot be read"))
}
