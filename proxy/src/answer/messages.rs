//! Answers in the dialect of Anthropic's Messages API.
