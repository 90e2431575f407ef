//! Anthropic's Messages API (`POST /messages`): <https://docs.anthropic.com/en/api/messages>.

pub(crate) use self::answer::decode;
pub(crate) use self::request::encode;

pub(crate) mod answer;
mod request;
pub(crate) mod stream;
#[cfg(test)]
mod tests;

/// The version of the API that is spoken.
pub(crate) const VERSION: &str = "2023-06-01";

/// The tool whose input is the answer. Every model can be made to use a tool, but only some write
/// JSON by a schema otherwise. On the way back its input is the content again.
const ANSWER_TOOL: &str = "tollgate_answer";
