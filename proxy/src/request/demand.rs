//! What a request asks for beyond the tokens of its words: what not every provider may be sent, and
//! what has a price of its own.

use tollgate_common::policy::Route;
use tollgate_common::price::{AssumedMembers, FeeCounts, OutputKinds, RequestedTier};
use tollgate_common::provider::ProviderKind;

use super::content::Content;
use super::thoughts::Thoughts;
use crate::chat::Untranslatable;

/// What must be so for a field to travel to a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Need {
    /// The provider is set to pass the field of this name, which nobody here knows.
    Pass(String),
    /// The prices of this service are known.
    Priced(Service),
}

/// Services with prices of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    /// Another service tier than the usual one.
    Tier,
    WebSearch,
    AudioInput,
    AudioOutput,
    ImageOutput,
    /// Writes to the provider's cache for an hour.
    CacheHour,
}

/// Whether a model searches the web for every answer, as its name has it.
pub(crate) fn always_searches(upstream_model: &str) -> bool {
    let name = upstream_model.to_ascii_lowercase();
    let name = name.rsplit('/').next().unwrap_or_default();
    let is_sonar = name.starts_with("sonar") && !name.ends_with("-chat");
    is_sonar
        || [
            "search-preview",
            "search-api",
            "deep-research",
            "-online",
            ":online",
        ]
        .iter()
        .any(|part| name.contains(part))
}

/// A field that not every provider may be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Demand {
    /// Where it is in the request, as `messages[0].audio`.
    pub(crate) field: String,
    pub(crate) need: Need,
}

/// What a request asks for.
#[derive(Debug, Default)]
pub(crate) struct Ask {
    pub(crate) content: Content,
    pub(crate) demands: Vec<Demand>,
    /// Tokens that the provider may bill for an answer beside those that its limit counts.
    pub(crate) extra_output_tokens: i64,
    /// How much it wants the model to think.
    pub(crate) thoughts: Thoughts,
    /// The service tier that it asks for.
    pub(crate) tier: RequestedTier,
    /// Billed calls of the provider's tools that it may cause at most.
    pub(crate) fees_max: FeeCounts,
    /// Kinds of output beside text.
    pub(crate) output_kinds: OutputKinds,
}

impl Ask {
    /// Notes a field that nobody here knows; `name` is its path without places in lists.
    pub(crate) fn pass(&mut self, field: impl Into<String>, name: impl Into<String>) {
        self.demands.push(Demand {
            field: field.into(),
            need: Need::Pass(name.into()),
        });
    }

    /// Notes a field that asks for a service with a price of its own.
    pub(crate) fn service(&mut self, field: impl Into<String>, service: Service) {
        match service {
            Service::WebSearch => {
                self.fees_max.web_searches = 1;
                self.content.add_search();
            }
            Service::AudioOutput => self.output_kinds.audio = true,
            Service::ImageOutput => self.output_kinds.image = true,
            Service::CacheHour => self.content.cache_1h = true,
            Service::Tier | Service::AudioInput => {}
        }
        self.demands.push(Demand {
            field: field.into(),
            need: Need::Priced(service),
        });
    }
}

impl Demand {
    /// Refuses the field by its name unless it may travel to the provider. A request that is not in
    /// OpenAI's dialect is written anew for providers that speak it.
    pub(crate) fn check(
        &self,
        route: &Route<'_>,
        tier: RequestedTier,
        is_openai: bool,
    ) -> Result<(), Untranslatable> {
        let provider = route.provider;
        let message = match &self.need {
            Need::Pass(name) if provider.pass_fields.contains(name) => return Ok(()),
            // Other dialects are written anew, and refuse what they have no word for.
            Need::Pass(_) if provider.kind != ProviderKind::OpenAi => return Ok(()),
            Need::Pass(name) => format!(
                "is not known here, and may change what the call costs; leave it out, or let an \
                 administrator pass {name} to this model's provider"
            ),
            // Elsewhere it is left out, or refused by whoever writes the request.
            Need::Priced(service) if service.is_priced(route, tier) => return Ok(()),
            Need::Priced(service @ (Service::AudioInput | Service::Tier)) => {
                service.refusal().to_owned()
            }
            Need::Priced(_) if !is_openai || provider.kind != ProviderKind::OpenAi => {
                return Ok(());
            }
            Need::Priced(service) => service.refusal().to_owned(),
        };
        Err(Untranslatable::new(self.field.clone(), message))
    }
}

impl Service {
    /// Whether the price of this service is known for a model at the provider that would serve it.
    fn is_priced(self, route: &Route<'_>, tier: RequestedTier) -> bool {
        let Some(price) = route.price() else {
            // Where nothing has a price, sound in the prompt is no exception.
            return self == Self::AudioInput;
        };
        let Some(unit) = price.reachable(0, tier) else {
            return false;
        };
        let is_listed = |member| !unit.assumed.has(member);
        match self {
            Self::Tier => true,
            Self::WebSearch => unit.fees.web_search.is_some(),
            Self::AudioInput => is_listed(AssumedMembers::INPUT_AUDIO),
            Self::AudioOutput => is_listed(AssumedMembers::OUTPUT_AUDIO),
            Self::ImageOutput => is_listed(AssumedMembers::OUTPUT_IMAGE),
            Self::CacheHour => is_listed(AssumedMembers::CACHE_WRITE_1H),
        }
    }

    const fn refusal(self) -> &'static str {
        match self {
            Self::Tier => {
                "asks for a service tier whose price is not known for this model; leave it out or \
                 say default"
            }
            Self::WebSearch => {
                "asks for searches of the web, whose price is not known for this model; leave it \
                 out"
            }
            Self::AudioInput => "is sound, whose price is not known for this model; leave it out",
            Self::AudioOutput => {
                "asks for an answer in sound, whose price is not known for this model; leave it out"
            }
            Self::ImageOutput => {
                "asks for images, whose price is not known for this model; leave it out"
            }
            Self::CacheHour => {
                "asks for a cache of one hour, whose price is not known for this model; say 5m or \
                 leave ttl out"
            }
        }
    }
}
