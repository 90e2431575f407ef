//! Which seller of the catalogue is meant by the providers that lists name.

use super::ListFormat;

/// Sellers, with their names in genai-prices, models.dev and `LiteLLM`, commas between them.
const SELLERS: [(&str, &str, &str, &str); 21] = [
    ("alibaba", "", "alibaba,alibaba-cn", "dashscope"),
    ("anthropic", "anthropic", "anthropic", "anthropic"),
    ("aws", "aws", "amazon-bedrock", "bedrock,bedrock_converse"),
    ("azure", "azure", "azure,azure-cognitive-services", "azure"),
    ("cerebras", "cerebras", "cerebras", "cerebras"),
    ("cohere", "cohere", "cohere", "cohere,cohere_chat"),
    ("deepseek", "deepseek", "deepseek", "deepseek"),
    (
        "fireworks",
        "fireworks",
        "fireworks-ai",
        "fireworks_ai,fireworks_ai-embedding-models",
    ),
    (
        "google",
        "google",
        "google,google-vertex,google-vertex-anthropic",
        "gemini,vertex_ai-language-models,vertex_ai-anthropic_models",
    ),
    ("groq", "groq", "groq", "groq"),
    ("meta", "meta", "llama", "meta_llama"),
    ("minimax", "minimax", "minimax", "minimax"),
    ("mistral", "mistral", "mistral", "mistral"),
    ("moonshot", "moonshotai", "moonshotai", "moonshot"),
    (
        "openai",
        "openai",
        "openai",
        "openai,text-completion-openai",
    ),
    ("openrouter", "openrouter", "openrouter", "openrouter"),
    (
        "perplexity",
        "perplexity",
        "perplexity,perplexity-agent",
        "perplexity",
    ),
    ("together", "together", "togetherai", "together_ai"),
    ("voyage", "voyageai", "voyage,voyageai", "voyage"),
    ("xai", "x-ai", "xai", "xai"),
    ("zai", "zai", "zai", "zai"),
];

/// The seller that a list's provider is, if it can be reached.
pub(super) fn seller_of(format: ListFormat, provider: &str) -> Option<&'static str> {
    let is_one = |names: &str| names.split(',').any(|name| name == provider);
    let found = SELLERS.iter().find(|(seller, genai, models_dev, litellm)| {
        !provider.is_empty()
            && match format {
                ListFormat::GenaiPrices => is_one(genai),
                ListFormat::ModelsDev => is_one(models_dev),
                ListFormat::LiteLlm => is_one(litellm),
                ListFormat::Tollgate => *seller == provider,
            }
    });
    let demo = format == ListFormat::Tollgate && provider == "demo";
    found
        .map(|(seller, ..)| *seller)
        .or_else(|| demo.then_some("demo"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::price::CATALOG;

    #[test]
    fn every_seller_of_the_catalogue_can_be_imported() {
        for (seller, _) in CATALOG.names() {
            let found = seller_of(ListFormat::Tollgate, seller);
            assert_eq!(found, Some(seller));
        }
        assert_eq!(seller_of(ListFormat::GenaiPrices, "x-ai"), Some("xai"));
        assert_eq!(
            seller_of(ListFormat::LiteLlm, "bedrock_converse"),
            Some("aws")
        );
        assert_eq!(
            seller_of(ListFormat::ModelsDev, "fireworks-ai"),
            Some("fireworks")
        );
        for (format, other) in [
            (ListFormat::GenaiPrices, ""),
            (ListFormat::GenaiPrices, "novita"),
            (ListFormat::LiteLlm, "vertex_ai"),
            (ListFormat::ModelsDev, "opencode"),
        ] {
            assert_eq!(seller_of(format, other), None, "{other}");
        }
    }
}
