//! Anthropic's Messages API (`POST /messages`): <https://docs.anthropic.com/en/api/messages>.

use super::{Encoded, Order};
use crate::chat::{Completion, Untranslatable};
use crate::conversation::Conversation;
use crate::steps::forward::UpstreamFailure;

pub(crate) mod stream;

/// The version of the API that is spoken.
pub(crate) const VERSION: &str = "2023-06-01";

/// Writes the provider's request.
pub(crate) fn encode(
    _conversation: &Conversation<'_>,
    _order: Order<'_>,
) -> Result<Encoded, Untranslatable> {
    Err(Untranslatable::new("messages", "cannot be sent"))
}

/// Reads a successful answer.
pub(crate) fn decode(_body: &[u8]) -> Result<Completion<'_>, UpstreamFailure> {
    Err(UpstreamFailure::Invalid {
        reason: "cannot be read".to_owned(),
    })
}
