//! What a call used: tokens in disjoint buckets, and billed calls of the provider's tools.
#![deny(clippy::arithmetic_side_effects)]

/// Tokens of one call in disjoint buckets: their sum is the total. Fees are counted beside them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Text tokens of the prompt that no cache served.
    pub input_uncached: i64,
    /// Prompt tokens read from the provider's cache, audio excepted.
    pub input_cache_read: i64,
    /// Prompt tokens written to the provider's cache for 5 minutes, or its usual lifetime.
    pub input_cache_write: i64,
    /// Prompt tokens written to the provider's cache for one hour.
    pub input_cache_write_1h: i64,
    /// Audio tokens of the prompt that no cache served.
    pub input_audio: i64,
    /// Audio tokens of the prompt read from the provider's cache.
    pub input_audio_cache_read: i64,
    /// Image tokens of the prompt, where the provider counts them apart from text.
    pub input_image: i64,
    /// Completion tokens that the caller sees as text.
    pub output_text: i64,
    /// Completion tokens spent on reasoning.
    pub output_reasoning: i64,
    /// Completion tokens that are sound.
    pub output_audio: i64,
    /// Completion tokens that are images.
    pub output_image: i64,
    /// Billed calls of tools that the provider ran.
    pub fees: FeeCounts,
}

/// How often a call used what is billed by the call and not by the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FeeCounts {
    /// Searches of the web.
    pub web_searches: i64,
    /// Searches of files that the provider keeps.
    pub file_searches: i64,
    /// Runs of code in the provider's sandbox.
    pub code_executions: i64,
    /// Requests, where each has a fee of its own.
    pub requests: i64,
}

impl FeeCounts {
    /// Nothing that has a fee.
    pub const NONE: Self = Self {
        web_searches: 0,
        file_searches: 0,
        code_executions: 0,
        requests: 0,
    };

    /// The counts in the order in which fees are stored.
    pub const fn all(&self) -> [i64; 4] {
        [
            self.web_searches,
            self.file_searches,
            self.code_executions,
            self.requests,
        ]
    }

    /// Whether nothing that has a fee was used.
    pub const fn is_none(&self) -> bool {
        matches!(self.all(), [0, 0, 0, 0])
    }

    /// The larger count of each kind.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            web_searches: self.web_searches.max(other.web_searches),
            file_searches: self.file_searches.max(other.file_searches),
            code_executions: self.code_executions.max(other.code_executions),
            requests: self.requests.max(other.requests),
        }
    }

    /// The sum, bucket by bucket.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            web_searches: self.web_searches.saturating_add(other.web_searches),
            file_searches: self.file_searches.saturating_add(other.file_searches),
            code_executions: self.code_executions.saturating_add(other.code_executions),
            requests: self.requests.saturating_add(other.requests),
        }
    }
}

impl Usage {
    /// All prompt tokens.
    pub const fn input(&self) -> i64 {
        self.input_uncached
            .saturating_add(self.input_cache_read)
            .saturating_add(self.input_cache_write)
            .saturating_add(self.input_cache_write_1h)
            .saturating_add(self.input_audio)
            .saturating_add(self.input_audio_cache_read)
            .saturating_add(self.input_image)
    }

    /// All completion tokens.
    pub const fn output(&self) -> i64 {
        self.output_text
            .saturating_add(self.output_reasoning)
            .saturating_add(self.output_audio)
            .saturating_add(self.output_image)
    }

    /// All tokens.
    pub const fn total(&self) -> i64 {
        self.input().saturating_add(self.output())
    }

    /// The sum, bucket by bucket.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            input_uncached: self.input_uncached.saturating_add(other.input_uncached),
            input_cache_read: self.input_cache_read.saturating_add(other.input_cache_read),
            input_cache_write: self
                .input_cache_write
                .saturating_add(other.input_cache_write),
            input_cache_write_1h: self
                .input_cache_write_1h
                .saturating_add(other.input_cache_write_1h),
            input_audio: self.input_audio.saturating_add(other.input_audio),
            input_audio_cache_read: self
                .input_audio_cache_read
                .saturating_add(other.input_audio_cache_read),
            input_image: self.input_image.saturating_add(other.input_image),
            output_text: self.output_text.saturating_add(other.output_text),
            output_reasoning: self.output_reasoning.saturating_add(other.output_reasoning),
            output_audio: self.output_audio.saturating_add(other.output_audio),
            output_image: self.output_image.saturating_add(other.output_image),
            fees: self.fees.plus(other.fees),
        }
    }

    /// Whether a bucket is used that most calls do not have. The database writes them apart.
    pub const fn has_rare_buckets(&self) -> bool {
        self.input_cache_write_1h != 0
            || self.input_audio != 0
            || self.input_audio_cache_read != 0
            || self.input_image != 0
            || self.output_audio != 0
            || self.output_image != 0
            || !self.fees.is_none()
    }
}
