//! The description of the API for programs and for people.

use axum::Json;
use axum::response::Html;
use serde_json::value::RawValue;

use crate::error::ApiError;

/// The `OpenAPI` 3.1 document of every endpoint.
pub(crate) const OPENAPI: &str = include_str!("openapi.json");

/// `GET /openapi.json`
pub(crate) async fn openapi() -> Result<Json<&'static RawValue>, ApiError> {
    let document = serde_json::from_str::<&RawValue>(OPENAPI);
    document
        .map(Json)
        .map_err(|error| ApiError::Internal(error.to_string()))
}

/// `GET /docs` and `/redoc`: the same for people, without scripts from elsewhere.
pub(crate) async fn page() -> Html<&'static str> {
    Html(include_str!("docs.html"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    /// What describes the API is not described in it.
    const DESCRIPTIONS: [&str; 3] = ["/openapi.json", "/docs", "/redoc"];

    fn document() -> Value {
        serde_json::from_str(OPENAPI).unwrap()
    }

    /// Paths with their methods, as the document has them.
    fn described(document: &Value) -> BTreeSet<(String, String)> {
        let paths = document["paths"].as_object().unwrap();
        let operations = paths.iter().flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().keys();
            methods.map(|method| (path.clone(), method.to_uppercase()))
        });
        operations.collect()
    }

    /// Paths with the methods that they allow, as the router's source has them.
    fn routed() -> BTreeSet<(String, String)> {
        let routes = include_str!("../api.rs").split(".route(").skip(1);
        let routes = routes.map(|route| {
            let mut texts = route.split('"').skip(1).step_by(2);
            let path = texts.next().unwrap().replace("{*", "{");
            (path, texts.next().unwrap().to_owned())
        });
        routes
            .filter(|(path, _)| !DESCRIPTIONS.contains(&path.as_str()))
            .collect()
    }

    /// Where a document refers to itself.
    fn references(value: &Value) -> Vec<&str> {
        match value {
            Value::Object(fields) => {
                let own = fields.get("$ref").and_then(Value::as_str);
                own.into_iter()
                    .chain(fields.values().flat_map(references))
                    .collect()
            }
            Value::Array(items) => items.iter().flat_map(references).collect(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn the_document_describes_what_the_router_answers() {
        assert_eq!(described(&document()), routed());
    }

    #[test]
    fn the_page_names_every_endpoint_of_the_document() {
        let document = document();
        assert_eq!(document["openapi"], "3.1.0");
        assert_eq!(document["info"]["title"], "SaaS LLM API");
        for (path, method) in described(&document) {
            let row = format!("<td>{method}</td><td><code>{path}</code></td>");
            assert!(include_str!("docs.html").contains(&row), "{row}");
        }
    }

    #[test]
    fn whatever_the_document_refers_to_is_in_it() {
        let document = document();
        let references = references(&document);
        assert!(!references.is_empty());
        for reference in references {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }
}
