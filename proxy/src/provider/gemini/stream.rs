//! The events of a streamed answer.

use crate::chat::Chunk;
use crate::sse::Event;
use crate::steps::forward::UpstreamFailure;

/// Reads a streamed answer.
#[derive(Debug, Default)]
pub(crate) struct StreamDecoder {
    is_complete: bool,
}

impl StreamDecoder {
    /// What an event says.
    pub(crate) fn read<'e>(&mut self, _event: &'e Event) -> Result<Chunk<'e>, UpstreamFailure> {
        Ok(Chunk::default())
    }

    /// Whether the answer has ended as it should.
    pub(crate) const fn is_complete(&self) -> bool {
        self.is_complete
    }
}
