//! What a prompt consists of, and the most tokens that it can have for a model. Every door counts
//! its prompts here.

use tollgate_common::ledger::PromptWeight;
use tollgate_common::provider::ProviderKind;

use super::text;

/// The context of a model that nobody knows: the longest that providers sell, in tokens.
const CONTEXT_TOKENS_UNKNOWN: i64 = 1_048_576;

/// What templates add to any prompt, in tokens.
const REQUEST_OVERHEAD_TOKENS: i64 = 64;

/// The same for models whose templates or providers put instructions of their own before a prompt,
/// by the start of the model's name.
const OWN_INSTRUCTIONS: [(&str, i64); 10] = [
    ("grok", 1_024),
    ("mistral", 1_024),
    ("magistral", 1_024),
    ("ministral", 1_024),
    ("devstral", 1_024),
    ("command", 1_024),
    ("gpt-oss", 256),
    ("granite", 256),
    ("smollm", 256),
    ("glm", 256),
];

/// Tokens that surround a message in providers' templates.
const MESSAGE_OVERHEAD_TOKENS: i64 = 16;

/// What providers tell a model about the use of tools before the first one, in tokens.
const TOOLS_OVERHEAD_TOKENS: i64 = 768;

/// What surrounds each tool or schema beside its own text, in tokens.
const TOOL_OVERHEAD_TOKENS: i64 = 32;

/// Providers write schemas anew for their models, indented or as declarations. So much of their
/// own weight that can be.
const SCHEMA_FACTOR: i64 = 2;

/// What a search of the web adds to a prompt at most, in tokens.
const SEARCH_TOKENS: i64 = 8_000;

/// What an image is taken for by limits of tokens per minute, about.
const TYPICAL_IMAGE_TOKENS: i64 = 2_000;

/// Text has about so many bytes a token, for the same limits: rather few.
const TYPICAL_BYTES_PER_TOKEN: usize = 2;

/// What a prompt consists of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Content {
    /// The most tokens of all that is text.
    text: i64,
    /// About as many, and those of media.
    typical: i64,
    has_tools: bool,
    /// Images that may be looked at closely, and those that need not be.
    images: i64,
    images_low: i64,
    /// Seconds of sound.
    seconds: i64,
    /// Sound of a length that its bytes do not limit.
    long_sounds: i64,
    /// Documents, videos, files kept at the provider: they may fill the whole context.
    documents: i64,
    /// Texts that are read each by itself, if there are several.
    inputs: i64,
    /// Writes to a cache for an hour are asked for.
    pub(crate) cache_1h: bool,
}

/// What is known of the model that a prompt is for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ModelFacts<'m> {
    pub(crate) kind: ProviderKind,
    pub(crate) upstream_model: &'m str,
    /// How many tokens prompt and answer may have together, if anyone knows.
    pub(crate) context_tokens_max: Option<i64>,
}

fn long(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

impl Content {
    /// Text as it travels, or JSON.
    pub(crate) fn add_text(&mut self, text: &str) {
        self.text = self.text.saturating_add(text::tokens_max(text));
        self.typical += long(text.len() / TYPICAL_BYTES_PER_TOKEN);
    }

    /// A message around what is in it.
    pub(crate) const fn add_message(&mut self) {
        self.text = self.text.saturating_add(MESSAGE_OVERHEAD_TOKENS);
        self.typical += MESSAGE_OVERHEAD_TOKENS;
    }

    /// A schema or a list of tools, as JSON: the provider writes it anew.
    pub(crate) fn add_schema(&mut self, json: &str) {
        let tokens = text::tokens_max(json).saturating_mul(SCHEMA_FACTOR);
        self.text = self.text.saturating_add(tokens + TOOL_OVERHEAD_TOKENS);
        self.typical += long(json.len() / TYPICAL_BYTES_PER_TOKEN);
    }

    /// So many tools beside their text.
    pub(crate) fn add_tools(&mut self, count: usize) {
        let tokens = long(count).saturating_mul(TOOL_OVERHEAD_TOKENS);
        self.text = self.text.saturating_add(tokens);
        self.has_tools |= count > 0;
    }

    /// An image, with OpenAI's `detail`.
    pub(crate) fn add_image(&mut self, is_low: bool) {
        if is_low {
            self.images_low += 1;
        } else {
            self.images += 1;
        }
        self.typical += TYPICAL_IMAGE_TOKENS;
    }

    /// A sound of at most so many seconds, if that is known.
    pub(crate) fn add_sound(&mut self, seconds: Option<u64>) {
        match seconds.and_then(|seconds| i64::try_from(seconds).ok()) {
            Some(seconds) => self.seconds = self.seconds.saturating_add(seconds),
            None => self.long_sounds += 1,
        }
        self.typical += TYPICAL_IMAGE_TOKENS;
    }

    /// A document, a video or a file whose tokens do not follow from its bytes.
    pub(crate) const fn add_document(&mut self, typical: i64) {
        self.documents += 1;
        self.typical += typical;
    }

    /// What a search of the web finds, which is read as text.
    pub(crate) const fn add_search(&mut self) {
        self.text = self.text.saturating_add(SEARCH_TOKENS);
        self.typical += SEARCH_TOKENS;
    }

    /// Says that the request has so many texts that the model reads each by itself.
    pub(crate) fn set_inputs(&mut self, count: usize) {
        self.inputs = long(count);
    }

    /// How many texts the model reads each by itself; at least one.
    pub(crate) const fn inputs(&self) -> i64 {
        if self.inputs > 1 { self.inputs } else { 1 }
    }

    /// About how many tokens the prompt has, rather too many than too few.
    pub(crate) const fn typical_tokens(&self) -> i64 {
        self.typical
    }

    /// The most tokens that the prompt can have for a model.
    pub(crate) fn weight(&self, model: ModelFacts<'_>) -> PromptWeight {
        let context = model.context_tokens_max.unwrap_or(CONTEXT_TOKENS_UNKNOWN);
        let overhead = overhead(model.upstream_model);
        let tools = if self.has_tools {
            TOOLS_OVERHEAD_TOKENS
        } else {
            0
        };
        let text = self.text.saturating_add(overhead + tools);
        let close = self.images.saturating_mul(image_tokens_max(model));
        let far = self.images_low.saturating_mul(low_image_tokens_max(model));
        // Pages of documents are counted as images, which never cost less than text.
        let image = if self.documents > 0 {
            context
        } else {
            close.saturating_add(far)
        };
        let audio = if self.long_sounds > 0 {
            context
        } else {
            self.seconds.saturating_mul(sound_tokens_per_second(model))
        };
        let Some(context) = model.context_tokens_max else {
            return self.weight_of(text, image, audio);
        };
        // No prompt is longer than the context, whatever it is made of. Text is the cheapest.
        let context = context.saturating_mul(self.inputs());
        let (image, audio) = (image.min(context), audio.min(context));
        let left = context.saturating_sub(image).saturating_sub(audio).max(0);
        self.weight_of(text.min(left), image, audio)
    }

    const fn weight_of(&self, text: i64, image: i64, audio: i64) -> PromptWeight {
        PromptWeight {
            text,
            image,
            audio,
            cache_write_1h: self.cache_1h,
        }
    }
}

fn overhead(upstream_model: &str) -> i64 {
    let name = name_of(upstream_model);
    let mut rows = OWN_INSTRUCTIONS.iter();
    let found = rows.find(|(start, _)| name.starts_with(start));
    found.map_or(REQUEST_OVERHEAD_TOKENS, |(_, tokens)| *tokens)
}

/// The last segment of a model's name.
fn name_of(upstream_model: &str) -> &str {
    upstream_model.rsplit('/').next().unwrap_or(upstream_model)
}

/// A model of OpenAI's by the start of its name, and the most tokens of an image that is looked at
/// closely or not: <https://platform.openai.com/docs/guides/images-vision>. Where images are cut
/// into tiles, there are at most 8; where into patches, at most 1,536, times the model's factor.
const OPENAI_IMAGES: [(&str, i64, i64); 13] = [
    ("gpt-4o-mini", 2_833 + 8 * 5_667, 2_833),
    ("gpt-4o", 85 + 8 * 170, 85),
    ("gpt-4.1-mini", 2_489, 2_489),
    ("gpt-4.1-nano", 3_779, 3_779),
    ("gpt-4.1", 85 + 8 * 170, 85),
    ("gpt-4.5", 85 + 8 * 170, 85),
    ("gpt-4-turbo", 85 + 8 * 170, 85),
    ("gpt-5-mini", 2_489, 2_489),
    ("gpt-5-nano", 3_779, 3_779),
    ("o4-mini", 2_642, 2_642),
    ("o1", 75 + 8 * 150, 75),
    ("o3", 75 + 8 * 150, 75),
    ("computer-use-preview", 65 + 8 * 129, 65),
];

/// The most tokens of an image for any model of a server that is not known: those of the dearest
/// known rule.
const IMAGE_TOKENS_UNKNOWN: i64 = 2_833 + 8 * 5_667;

/// The most tokens of an image for Claude:
/// <https://docs.claude.com/en/docs/build-with-claude/vision>.
const CLAUDE_IMAGE_TOKENS: i64 = 4_784;

/// The most tokens of an image for Gemini: it is scaled to 3,072 pixels and cut into tiles of at
/// least 256, each 258 tokens: <https://ai.google.dev/gemini-api/docs/image-understanding>.
const GEMINI_IMAGE_TOKENS: i64 = 24 * 258;

fn openai_images(upstream_model: &str) -> Option<(i64, i64)> {
    let name = name_of(upstream_model);
    let mut rows = OPENAI_IMAGES.iter();
    let (_, close, far) = rows.find(|(start, ..)| name.starts_with(start))?;
    Some((*close, *far))
}

fn image_tokens_max(model: ModelFacts<'_>) -> i64 {
    match model.kind {
        ProviderKind::Anthropic => CLAUDE_IMAGE_TOKENS,
        ProviderKind::Gemini => GEMINI_IMAGE_TOKENS,
        ProviderKind::OpenAi => {
            openai_images(model.upstream_model).map_or(IMAGE_TOKENS_UNKNOWN, |(close, _)| close)
        }
    }
}

/// Only models that are known keep to `detail`.
fn low_image_tokens_max(model: ModelFacts<'_>) -> i64 {
    match (model.kind, openai_images(model.upstream_model)) {
        (ProviderKind::OpenAi, Some((_, far))) => far,
        _ => image_tokens_max(model),
    }
}

/// Tokens of a second of sound, at most: 32 for Gemini, 10 for OpenAI, up to 50 for encoders that
/// are served elsewhere.
const fn sound_tokens_per_second(model: ModelFacts<'_>) -> i64 {
    match model.kind {
        ProviderKind::Gemini => 32,
        ProviderKind::OpenAi | ProviderKind::Anthropic => 50,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(kind: ProviderKind, upstream_model: &str, context: Option<i64>) -> ModelFacts<'_> {
        ModelFacts {
            kind,
            upstream_model,
            context_tokens_max: context,
        }
    }

    /// The provider's most tokens of one image, by what it documents.
    #[test]
    fn an_image_weighs_what_its_model_documents_at_most() {
        let mut content = Content::default();
        content.add_image(false);
        let image = |kind, name| content.weight(facts(kind, name, None)).image;
        for (kind, name, most) in [
            (ProviderKind::OpenAi, "gpt-4o-mini", 48_169),
            (ProviderKind::OpenAi, "gpt-4o-mini-2024-07-18", 48_169),
            (ProviderKind::OpenAi, "openai/gpt-4o-mini", 48_169),
            (ProviderKind::OpenAi, "gpt-4o-2024-08-06", 1_445),
            (ProviderKind::OpenAi, "gpt-4.1-nano", 3_779),
            (ProviderKind::OpenAi, "o3", 1_275),
            (ProviderKind::OpenAi, "my-deployment", 48_169),
            (ProviderKind::OpenAi, "gpt-5.9-ultra", 48_169),
            (ProviderKind::Anthropic, "claude-sonnet-4-5", 4_784),
            (ProviderKind::Gemini, "gemini-2.5-flash", 6_192),
        ] {
            assert_eq!(image(kind, name), most, "{name}");
        }
        let mut far = Content::default();
        far.add_image(true);
        let image = |name| far.weight(facts(ProviderKind::OpenAi, name, None)).image;
        assert_eq!((image("gpt-4o"), image("llava")), (85, 48_169));
    }

    #[test]
    fn a_prompt_never_weighs_more_than_its_context() {
        let mut content = Content::default();
        content.add_text(&"7".repeat(500_000));
        content.add_sound(Some(1_000));
        content.add_sound(None);
        let weight = content.weight(facts(ProviderKind::Gemini, "gemini-2.5-pro", Some(200_000)));
        assert_eq!((weight.text, weight.image, weight.audio), (0, 0, 200_000));
        let weight = content.weight(facts(ProviderKind::Gemini, "gemini-2.5-pro", None));
        assert!(weight.text > 500_000 && weight.audio == CONTEXT_TOKENS_UNKNOWN);
        content = Content::default();
        content.add_document(1);
        content.add_text("Hi");
        let weight = content.weight(facts(ProviderKind::Anthropic, "claude-x", Some(200_000)));
        assert_eq!((weight.text, weight.image), (0, 200_000));
    }

    #[test]
    fn the_context_limits_each_of_several_inputs() {
        let mut content = Content::default();
        content.add_text(&"7".repeat(300_000));
        let text = |content: &Content| {
            let embedder = facts(ProviderKind::OpenAi, "text-embedding-3-small", Some(8_192));
            content.weight(embedder).text
        };
        assert_eq!(text(&content), 8_192);
        content.set_inputs(30);
        assert_eq!(text(&content), 30 * 8_192);
        content.set_inputs(60);
        assert_eq!(text(&content), 300_000 + REQUEST_OVERHEAD_TOKENS);
    }

    #[test]
    fn counts_that_no_prompt_has_do_not_overflow() {
        let mut content = Content {
            text: i64::MAX,
            images: i64::MAX,
            seconds: i64::MAX,
            has_tools: true,
            ..Content::default()
        };
        content.add_text("abc");
        content.add_sound(Some(u64::MAX));
        let weight = content.weight(facts(ProviderKind::OpenAi, "x", None));
        assert_eq!((weight.text, weight.image), (i64::MAX, i64::MAX));
    }
}
