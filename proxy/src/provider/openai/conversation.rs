//! Requests that came in another dialect, in OpenAI's.

use super::super::{Encoded, Order};
use crate::chat::Untranslatable;
use crate::conversation::Conversation;

/// Writes the provider's request.
pub(crate) fn encode(
    _conversation: &Conversation<'_>,
    _order: Order<'_>,
) -> Result<Encoded, Untranslatable> {
    Err(Untranslatable::new("messages", "cannot be sent"))
}
