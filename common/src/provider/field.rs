//! Fields of OpenAI's requests: which of them travel to providers of kind `openai`, and at whose
//! risk. A field that can change what the provider asks for is never sent unnoticed.

use std::fmt;
use std::str::FromStr;

/// What becomes of a field of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldRule {
    /// Read apart: the gateway writes it anew, within what is held.
    Own,
    /// Travels as it was written: its price is that of its tokens.
    Neutral,
    /// As `Neutral`, and concerns only the provider's cache, storage, statistics or search for
    /// abuse: where a provider has no word for it, it is left out.
    Hint,
    /// Makes a call dearer: travels only where the price of what it asks for is known.
    Priced,
    /// Never travels: it would change the model, the provider, or a limit that is held for. The
    /// text is the remedy.
    Refused(&'static str),
}

/// The endpoints that have a table of fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// Chat completions.
    Completions,
    /// Embeddings.
    Embeddings,
}

type Row = (FieldRule, &'static [&'static str]);

const CHOOSE_BY_MODEL: &str =
    "leave it out: which model serves is chosen by the field model and by this gateway";
const CHOOSE_PROVIDER: &str =
    "leave it out: where a request goes and with which key is set in this gateway";
const USE_MAX_TOKENS: &str = "use max_tokens or max_completion_tokens instead";
const USE_N: &str = "use n instead";
const SEARCHES: &str = "leave it out: it starts searches or tools that have a price of their own";
const EXPANDS: &str = "leave it out: it changes how many tokens the provider counts";

const COMPLETIONS: &[Row] = &[
    (
        FieldRule::Own,
        &[
            "model",
            "messages",
            "stream",
            "stream_options",
            "max_tokens",
            "max_completion_tokens",
        ],
    ),
    (
        FieldRule::Priced,
        &[
            "service_tier",
            "web_search_options",
            "modalities",
            "audio",
            "cache_control",
        ],
    ),
    (
        FieldRule::Hint,
        &[
            "metadata",
            "prompt_cache_key",
            "prompt_cache_retention",
            "safety_identifier",
            "keep_alive",
            "cache_salt",
        ],
    ),
    (FieldRule::Neutral, NEUTRAL),
    (
        FieldRule::Refused(CHOOSE_BY_MODEL),
        &[
            "models",
            "route",
            "plugins",
            "preset",
            "fallbacks",
            "context_window_fallbacks",
            "content_policy_fallbacks",
            "model_list",
            "model_info",
            "deployment",
            "deployment_id",
            "engine",
            "lora_path",
            "lora_request",
            "adapter_id",
            "adapter_source",
            "compound_custom",
            "draft_model",
            "speculative",
        ],
    ),
    (
        FieldRule::Refused(CHOOSE_PROVIDER),
        &[
            "provider",
            "custom_llm_provider",
            "api_base",
            "base_url",
            "api_key",
            "api_version",
            "api_type",
            "organization",
            "extra_body",
            "extra_headers",
            "extra_query",
            "headers",
            "endpoint",
            "data_sources",
            "kv_transfer_params",
            "bootstrap_host",
        ],
    ),
    (
        FieldRule::Refused(USE_MAX_TOKENS),
        &[
            "max_new_tokens",
            "max_output_tokens",
            "max_tokens_to_sample",
            "max_length",
            "max_gen_len",
            "max_gen_toks",
            "n_predict",
            "num_predict",
            "options",
        ],
    ),
    (
        FieldRule::Refused(USE_N),
        &[
            "best_of",
            "num_completions",
            "num_generations",
            "num_return_sequences",
            "candidate_count",
        ],
    ),
    (
        FieldRule::Refused(SEARCHES),
        &[
            "search_parameters",
            "search_options",
            "search_context_size",
            "search_settings",
            "enable_search",
            "web_search",
            "online",
            "tool_resources",
            "mcp_servers",
            "container",
            "return_images",
            "return_related_questions",
        ],
    ),
    (
        FieldRule::Refused(EXPANDS),
        &[
            "chat_template",
            "mm_processor_kwargs",
            "media_io_kwargs",
            "speed",
        ],
    ),
];

/// Parameters of sampling, of the answer's form and of reasoning, as OpenAI, vLLM, `SGLang`,
/// llama.cpp, Ollama, LM Studio, `OpenRouter`, Groq, `DeepSeek`, Mistral, xAI, Together, Fireworks,
/// Perplexity, Qwen and clients of `LiteLLM` name them. All stay within the limit of the answer.
const NEUTRAL: &[&str] = &[
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "top_a",
    "tfs",
    "tfs_z",
    "typical_p",
    "n",
    "seed",
    "random_seed",
    "stop",
    "stop_token_ids",
    "include_stop_str_in_output",
    "no_stop_trim",
    "frequency_penalty",
    "presence_penalty",
    "repetition_penalty",
    "repeat_penalty",
    "repeat_last_n",
    "length_penalty",
    "early_stopping",
    "use_beam_search",
    "dry_multiplier",
    "dry_base",
    "dry_allowed_length",
    "dry_penalty_last_n",
    "dry_sequence_breakers",
    "xtc_probability",
    "xtc_threshold",
    "dynatemp_range",
    "dynatemp_exponent",
    "mirostat",
    "mirostat_eta",
    "mirostat_tau",
    "mirostat_lr",
    "mirostat_target",
    "min_keep",
    "penalize_nl",
    "samplers",
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "prompt_logprobs",
    "allowed_token_ids",
    "bad_words",
    "min_tokens",
    "min_new_tokens",
    "ignore_eos",
    "skip_special_tokens",
    "spaces_between_special_tokens",
    "detokenize",
    "truncate_prompt_tokens",
    "add_generation_prompt",
    "continue_final_message",
    "add_special_tokens",
    "return_token_ids",
    "return_tokens_as_token_ids",
    "echo",
    "user",
    "store",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "disable_tool_validation",
    "functions",
    "function_call",
    "response_format",
    "guided_json",
    "guided_regex",
    "guided_choice",
    "guided_grammar",
    "guided_decoding_backend",
    "guided_whitespace_pattern",
    "structured_outputs",
    "structural_tag",
    "json_schema",
    "regex",
    "ebnf",
    "grammar",
    "format",
    "prediction",
    "reasoning",
    "reasoning_effort",
    "reasoning_format",
    "reasoning_split",
    "include_reasoning",
    "separate_reasoning",
    "stream_reasoning",
    "thinking",
    "thinking_budget",
    "thinking_token_budget",
    "enable_thinking",
    "clear_thinking",
    "preserve_thinking",
    "think",
    "verbosity",
    "chat_template_kwargs",
    "documents",
    "citation_options",
    "return_citations",
    "search_domain_filter",
    "search_recency_filter",
    "search_after_date_filter",
    "search_before_date_filter",
    "disable_search",
    "exclude_domains",
    "include_domains",
    "safe_prompt",
    "prompt_mode",
    "safety_model",
    "tool_stream",
    "prefix",
    "cache_prompt",
    "context_length_exceeded_behavior",
    "raw_output",
    "perf_metrics_in_response",
    "repetition_context_size",
    "ttl",
    "usage",
];

const EMBEDDINGS: &[Row] = &[
    (FieldRule::Own, &["model"]),
    (FieldRule::Hint, &["user"]),
    (
        FieldRule::Neutral,
        &[
            "input",
            "encoding_format",
            "dimensions",
            "input_type",
            "truncate",
            "truncation",
            "truncate_prompt_tokens",
            "add_special_tokens",
            "normalize",
            "normalized",
            "embedding_type",
            "output_dimension",
            "output_dtype",
            "task",
            "late_chunking",
            "keep_alive",
            "metadata",
        ],
    ),
    (
        FieldRule::Refused(CHOOSE_BY_MODEL),
        &[
            "models",
            "fallbacks",
            "model_list",
            "deployment",
            "deployment_id",
            "engine",
            "lora_path",
        ],
    ),
    (
        FieldRule::Refused(CHOOSE_PROVIDER),
        &[
            "provider",
            "custom_llm_provider",
            "api_base",
            "base_url",
            "api_key",
            "api_version",
            "api_type",
            "organization",
            "extra_body",
            "extra_headers",
            "extra_query",
            "headers",
        ],
    ),
    (FieldRule::Refused(EXPANDS), &["mm_processor_kwargs"]),
];

impl Endpoint {
    const fn rows(self) -> &'static [Row] {
        match self {
            Self::Completions => COMPLETIONS,
            Self::Embeddings => EMBEDDINGS,
        }
    }

    /// What becomes of a field with exactly this name; `None` if the table does not have it.
    pub fn rule_of(self, name: &str) -> Option<FieldRule> {
        let mut rows = self.rows().iter();
        rows.find(|(_, names)| names.contains(&name))
            .map(|(rule, _)| *rule)
    }

    /// The name in the table that a server could take `name` for, if it is written otherwise: many
    /// servers match names without regard to case, and some trim or normalize them.
    pub fn look_alike(self, name: &str) -> Option<&'static str> {
        let folded = fold(name);
        let mut known = self.rows().iter().flat_map(|(_, names)| *names);
        known
            .find(|known| **known == folded && **known != name)
            .copied()
    }

    /// All names of the table with their rules.
    pub fn all(self) -> impl Iterator<Item = (&'static str, FieldRule)> {
        let rows = self.rows().iter();
        rows.flat_map(|(rule, names)| names.iter().map(|name| (*name, *rule)))
    }
}

/// Letters that Unicode's compatibility forms or case folding turn into one of ASCII beside the
/// fullwidth block: the long s and the signs for kelvin and ångström.
const FOLDED: [(char, char); 3] = [('\u{17f}', 's'), ('\u{212a}', 'k'), ('\u{212b}', 'a')];

/// A name as a lenient server may read it: lower case, fullwidth forms as ASCII, hyphens as
/// underscores, without whitespace, control and other invisible characters.
pub fn fold(name: &str) -> String {
    let visible = name.chars().filter(|c| !is_invisible(*c));
    visible
        .map(|c| match c {
            '\u{ff01}'..='\u{ff5e}' => {
                let ascii = u32::from(c) - 0xff01 + 0x21;
                char::from_u32(ascii).unwrap_or(c).to_ascii_lowercase()
            }
            '-' | '\u{2010}'..='\u{2015}' => '_',
            _ => {
                let letter = FOLDED.iter().find(|(known, _)| *known == c);
                letter.map_or_else(|| c.to_ascii_lowercase(), |(_, ascii)| *ascii)
            }
        })
        .collect()
}

fn is_invisible(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'
                | '\u{1160}'
                | '\u{17b4}'
                | '\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// The most fields that a provider may be set to pass.
const PASS_FIELDS_MAX: usize = 64;

/// The longest name of such a field, in characters.
const PASS_FIELD_LENGTH_MAX: usize = 100;

/// Fields that a provider of kind `openai` is sent although the table does not have them: whoever
/// set it knows that they do not change its price. Sorted, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct PassFields(Vec<String>);

impl PassFields {
    /// Whether a field travels. Fields of nested objects have the names of those before them, as
    /// `messages.content.file.file_id`.
    pub fn contains(&self, path: &str) -> bool {
        self.0
            .binary_search_by(|known| known.as_str().cmp(path))
            .is_ok()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Their names.
    pub fn names(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for PassFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

impl FromStr for PassFields {
    type Err = String;

    /// Reads names between commas; `none` and the empty text are none.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() || text.trim() == "none" {
            return Ok(Self::default());
        }
        let names = text.split(',').map(|name| checked(name.trim()));
        let mut names: Vec<String> = names.collect::<Result<_, _>>()?;
        names.sort_unstable();
        names.dedup();
        if names.len() > PASS_FIELDS_MAX {
            return Err(format!("at most {PASS_FIELDS_MAX} fields can be passed"));
        }
        let same = names.iter().enumerate().find_map(|(index, name)| {
            let folded = fold(name);
            let twin = names
                .iter()
                .skip(index + 1)
                .find(|other| fold(other) == folded);
            twin.map(|twin| (name, twin))
        });
        match same {
            Some((name, twin)) => Err(format!(
                "'{name}' and '{twin}' are the same to servers that ignore case: pass one of them"
            )),
            None => Ok(Self(names)),
        }
    }
}

fn checked(name: &str) -> Result<String, String> {
    let is_known = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
    let is_name = (1..=PASS_FIELD_LENGTH_MAX).contains(&name.len()) && name.bytes().all(is_known);
    if !is_name {
        return Err(format!(
            "'{name}' is not a field's name: write letters, digits, '_', '-' and, between the \
             names of nested objects, '.'"
        ));
    }
    let tables = [Endpoint::Completions, Endpoint::Embeddings];
    if let Some(known) = tables.iter().find_map(|table| table.look_alike(name)) {
        return Err(format!(
            "'{name}' cannot be passed: servers that ignore case would take it for '{known}'"
        ));
    }
    match Endpoint::Completions.rule_of(name) {
        None => Ok(name.to_owned()),
        Some(FieldRule::Neutral | FieldRule::Hint) => Err(format!(
            "'{name}' travels anyway: leave it out of the fields to pass"
        )),
        Some(FieldRule::Own | FieldRule::Refused(_)) => Err(format!(
            "'{name}' cannot be passed: it would change which model serves, where, or within \
             which limits"
        )),
        Some(FieldRule::Priced) => Err(format!(
            "'{name}' cannot be passed unpriced: it travels where its price is known"
        )),
    }
}

#[cfg(test)]
mod tests;
