//! Providers' counts of tokens, read into disjoint buckets that add up to the provider's own total.
//!
//! Providers differ in what they count inside of what. Where counts contradict each other the
//! dearer reading is taken and marked; no count is lowered to fit another.

use tollgate_common::price::{FeeCounts, ServiceTier, Usage};
use tollgate_common::usage_note::UsageNote;

use super::members::{Count, Members};
use crate::chat::Counted;

/// Counts of one call as the provider wrote them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) prompt: Count,
    pub(super) completion: Count,
    /// What the provider says that all of it comes to.
    pub(super) total: Count,
    pub(super) cache_read: Count,
    /// Written to the cache, for whatever time.
    pub(super) cache_write: Count,
    /// Written to the cache for 5 minutes.
    pub(super) cache_write_5m: Count,
    /// Written to the cache for an hour.
    pub(super) cache_write_1h: Count,
    /// Not found in the cache.
    pub(super) cache_miss: Count,
    pub(super) input_audio: Count,
    pub(super) input_image: Count,
    /// Sound of the prompt that the cache served.
    pub(super) cached_audio: Count,
    /// Images of the prompt that the cache served.
    pub(super) cached_image: Count,
    /// What the provider put into the prompt by itself, beside it: results of its tools, sources.
    pub(super) added_prompt: Count,
    pub(super) reasoning: Count,
    pub(super) output_audio: Count,
    pub(super) output_image: Count,
    /// Predicted tokens that the answer did not take.
    pub(super) rejected: Count,
    pub(super) web_searches: Count,
    pub(super) file_searches: Count,
    pub(super) code_executions: Count,
    /// The service tier by which the provider served the call.
    pub(super) service_tier: Option<ServiceTier>,
}

/// Reads the tier by which a provider says that it served a call. What says that the provider was
/// free to choose, and unknown words, tell nothing.
pub(super) fn service_tier(word: Option<String>) -> Option<ServiceTier> {
    let word = word?.to_ascii_lowercase();
    let word = word.strip_prefix("service_tier_").unwrap_or(&word);
    match word {
        "default" | "standard" | "on_demand" => Some(ServiceTier::Standard),
        "on_demand_flex" => Some(ServiceTier::Flex),
        "on_demand_priority" => Some(ServiceTier::Priority),
        "provisioned_throughput" => Some(ServiceTier::Scale),
        word => word.parse().ok(),
    }
}

/// How many counts there are.
const COUNTS: usize = 20;

/// What a dialect counts beside, rather than inside, the prompt and the completion.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beside {
    /// Tokens read from and written to caches.
    pub(super) caches: bool,
    /// Tokens of reasoning.
    pub(super) reasoning: bool,
}

/// A count under the first of these names that is there.
pub(super) fn first(members: &Members<'_>, names: &[&str]) -> Count {
    let mut found = Count::Absent;
    for name in names {
        if found.get().is_none() {
            found.update(members.count(name));
        }
    }
    found
}

impl Counts {
    const fn all(&self) -> [Count; COUNTS] {
        [
            self.prompt,
            self.completion,
            self.total,
            self.cache_read,
            self.cache_write,
            self.cache_write_5m,
            self.cache_write_1h,
            self.cache_miss,
            self.input_audio,
            self.input_image,
            self.cached_audio,
            self.cached_image,
            self.added_prompt,
            self.reasoning,
            self.output_audio,
            self.output_image,
            self.rejected,
            self.web_searches,
            self.file_searches,
            self.code_executions,
        ]
    }

    const fn all_mut(&mut self) -> [&mut Count; COUNTS] {
        [
            &mut self.prompt,
            &mut self.completion,
            &mut self.total,
            &mut self.cache_read,
            &mut self.cache_write,
            &mut self.cache_write_5m,
            &mut self.cache_write_1h,
            &mut self.cache_miss,
            &mut self.input_audio,
            &mut self.input_image,
            &mut self.cached_audio,
            &mut self.cached_image,
            &mut self.added_prompt,
            &mut self.reasoning,
            &mut self.output_audio,
            &mut self.output_image,
            &mut self.rejected,
            &mut self.web_searches,
            &mut self.file_searches,
            &mut self.code_executions,
        ]
    }

    /// Takes over later counts of the same answer. What they leave out, or say is nothing, has not
    /// changed; but a total belongs to the counts that it was told with.
    pub(super) fn update(&mut self, later: &Self) {
        let is_real = |count: Count| count.get().is_some_and(|tokens| tokens > 0);
        if is_real(later.prompt) || is_real(later.completion) {
            self.total = Count::Absent;
        }
        for (count, later) in self.all_mut().into_iter().zip(later.all()) {
            count.update(later);
        }
        self.service_tier = later.service_tier.or(self.service_tier);
    }

    /// Whether anything was counted.
    pub(super) fn resolves(&self) -> bool {
        self.all().iter().any(|count| count.get() > Some(0))
    }

    /// Whether the output was counted, by itself or within the total.
    fn counts_output(&self) -> bool {
        let counts = [self.completion, self.total, self.reasoning];
        counts.iter().any(|count| count.get() > Some(0))
    }

    /// What was used; `None` if nothing was counted.
    pub(super) fn resolve(&self, beside: Beside) -> Option<Counted> {
        self.resolves()
            .then(|| Resolution::of(self, beside).counted())
    }
}

/// Counts of a stream, event by event.
#[derive(Debug, Default)]
pub(super) struct RunningCounts {
    counts: Counts,
    /// What the last event brought.
    latest: Option<Counted>,
}

impl RunningCounts {
    /// Another event begins.
    pub(super) const fn begin_event(&mut self) {
        self.latest = None;
    }

    /// Takes over an event's counts. Returns all counts up to here, if the event has any.
    pub(super) fn update(
        &mut self,
        later: &Counts,
        resolve: impl Fn(&Counts) -> Option<Counted>,
    ) -> Option<Counted> {
        self.counts.update(later);
        if later.resolves() {
            let counted = resolve(&self.counts);
            self.latest = counted.map(|counted| Counted {
                output_is_new: later.counts_output(),
                ..counted
            });
        }
        self.latest
    }

    /// All counts up to here, if the last event had any.
    pub(super) const fn latest(&self) -> Option<Counted> {
        self.latest
    }
}

fn tokens(count: Count) -> i64 {
    count.get().unwrap_or(0)
}

/// Counts on their way into buckets.
struct Resolution<'c> {
    counts: &'c Counts,
    prompt: Option<i64>,
    completion: Option<i64>,
    beside: Beside,
    /// Written to the cache for 5 minutes, and for an hour.
    written: (i64, i64),
    disagrees: bool,
}

impl<'c> Resolution<'c> {
    fn of(counts: &'c Counts, beside: Beside) -> Self {
        let (written, disagrees) = cache_writes(counts);
        let mut resolution = Self {
            counts,
            prompt: counts.prompt.get(),
            completion: counts.completion.get(),
            beside,
            written,
            disagrees,
        };
        resolution.split_prompt();
        resolution.derive_missing();
        resolution.choose_reading();
        resolution
    }

    fn cached(&self) -> i64 {
        tokens(self.counts.cache_read) + self.written.0 + self.written.1
    }

    fn reasoning(&self) -> i64 {
        tokens(self.counts.reasoning)
    }

    /// Some providers split the prompt into what their cache had and what it had not.
    fn split_prompt(&mut self) {
        let Some(missed) = self.counts.cache_miss.get().filter(|missed| *missed > 0) else {
            return;
        };
        let both = missed + self.cached();
        match self.prompt {
            None => self.prompt = Some(both),
            Some(prompt) if both > prompt => {
                self.prompt = Some(both);
                self.disagrees = true;
            }
            Some(_) => {}
        }
    }

    /// What is missing follows from the total, if that is there.
    fn derive_missing(&mut self) {
        let Some(total) = self.counts.total.get().filter(|total| *total > 0) else {
            return;
        };
        let added = self.added(self.beside);
        match (self.prompt, self.completion) {
            (None, Some(completion)) => {
                self.prompt = Some(total - completion - added).filter(|tokens| *tokens >= 0);
            }
            (Some(prompt), None) => {
                self.completion = Some(total - prompt - added).filter(|tokens| *tokens >= 0);
            }
            _ => {}
        }
    }

    /// What comes on top of prompt and completion.
    fn added(&self, beside: Beside) -> i64 {
        let caches = if beside.caches { self.cached() } else { 0 };
        let reasoning = if beside.reasoning {
            self.reasoning()
        } else {
            0
        };
        tokens(self.counts.added_prompt) + caches + reasoning
    }

    /// A part that is larger than the whole stands beside it, as does what the total says to.
    fn choose_reading(&mut self) {
        let is_beside = |part: i64, whole: Option<i64>| whole.is_some_and(|whole| part > whole);
        self.beside.caches |= is_beside(self.cached(), self.prompt);
        self.beside.reasoning |= is_beside(self.reasoning(), self.completion);
        let (Some(prompt), Some(completion)) = (self.prompt, self.completion) else {
            return;
        };
        let total = self.counts.total.get().filter(|total| *total > 0);
        let Some(total) = total else {
            return;
        };
        let Beside { caches, reasoning } = self.beside;
        let readings = [
            (caches, reasoning),
            (caches, true),
            (true, reasoning),
            (true, true),
        ];
        let fits = readings.into_iter().find(|(caches, reasoning)| {
            let reading = Beside {
                caches: *caches,
                reasoning: *reasoning,
            };
            prompt + completion + self.added(reading) == total
        });
        if let Some((caches, reasoning)) = fits {
            self.beside = Beside { caches, reasoning };
        }
    }

    fn counted(mut self) -> Counted {
        let mut usage = Usage::default();
        self.fill_input(&mut usage);
        self.fill_output(&mut usage);
        let total = tokens(self.counts.total);
        let lacks = (self.prompt.is_none(), self.completion.is_none());
        if lacks == (false, false) && total > 0 {
            let missing = total - usage.total();
            if missing > 0 {
                usage.output_text += missing;
            }
            self.disagrees |= missing != 0 && missing != tokens(self.counts.rejected);
        }
        let is_unusable = |count: &Count| *count == Count::Unusable;
        let note = if self.disagrees {
            Some(UsageNote::TotalsDisagree)
        } else if self.counts.all().iter().any(is_unusable) {
            Some(UsageNote::PartlyEstimated)
        } else {
            None
        };
        Counted {
            usage,
            lacks_input: lacks.0,
            lacks_output: lacks.1,
            output_is_new: true,
            names_searches: self.counts.web_searches.get().is_some(),
            total,
            note,
            service_tier: self.counts.service_tier,
        }
    }

    fn fill_input(&mut self, usage: &mut Usage) {
        let read = tokens(self.counts.cache_read);
        let (read_audio, read_image) = (
            tokens(self.counts.cached_audio),
            tokens(self.counts.cached_image),
        );
        let audio = (tokens(self.counts.input_audio) - read_audio).max(0);
        let image = (tokens(self.counts.input_image) - read_image).max(0);
        let inside = if self.beside.caches { 0 } else { self.cached() };
        // Without a count of the prompt its parts are what is known of it.
        let uncached = (self.prompt.unwrap_or(0) - inside).max(0);
        let text = uncached - audio - image;
        // Sound and images may have been read from the cache; as such they count once, in full.
        let overlap = (read - read_audio).min(-text).max(0);
        self.disagrees |= self.prompt.is_some() && text + overlap < 0;
        usage.input_uncached = text.max(0) + tokens(self.counts.added_prompt);
        usage.input_audio = audio;
        usage.input_image = image;
        usage.input_audio_cache_read = read_audio.min(read - overlap);
        usage.input_cache_read = read - overlap - usage.input_audio_cache_read;
        (usage.input_cache_write, usage.input_cache_write_1h) = self.written;
    }

    fn fill_output(&mut self, usage: &mut Usage) {
        let (audio, image) = (
            tokens(self.counts.output_audio),
            tokens(self.counts.output_image),
        );
        let reasoning = self.reasoning();
        let inside = if self.beside.reasoning { 0 } else { reasoning };
        let completion = self.completion.unwrap_or(0);
        let text = (completion - inside).max(0) - audio - image;
        self.disagrees |= self.completion.is_some() && text < 0;
        usage.output_text = text.max(0);
        usage.output_audio = audio;
        usage.output_image = image;
        usage.output_reasoning = reasoning;
        usage.fees = FeeCounts {
            web_searches: tokens(self.counts.web_searches),
            file_searches: tokens(self.counts.file_searches),
            code_executions: tokens(self.counts.code_executions),
            requests: 0,
        };
    }
}

/// What was written to the cache, for 5 minutes and for an hour, and whether the parts contradict
/// their sum.
fn cache_writes(counts: &Counts) -> ((i64, i64), bool) {
    let (short, long) = (tokens(counts.cache_write_5m), tokens(counts.cache_write_1h));
    let Some(all) = counts.cache_write.get() else {
        return ((short, long), false);
    };
    let parts = short + long;
    if parts == 0 || parts == all {
        return ((all - long, long), false);
    }
    // Of what the parts leave over it is not known how long it is kept: an hour is dearer.
    let left_over = (all - parts).max(0);
    ((short, long + left_over), true)
}
