//! Google's Gemini API (`POST /models/{model}:generateContent`):
//! <https://ai.google.dev/api/generate-content>.

use super::{Encoded, Order};
use crate::chat::{Completion, Untranslatable};
use crate::conversation::Conversation;
use crate::steps::forward::UpstreamFailure;

pub(crate) mod stream;

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
