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
    use super::*;

    #[test]
    fn the_page_names_every_endpoint_of_the_document() {
        let document: serde_json::Value = serde_json::from_str(OPENAPI).unwrap();
        assert_eq!(document["openapi"], "3.1.0");
        assert_eq!(document["info"]["title"], "SaaS LLM API");
        for path in document["paths"].as_object().unwrap().keys() {
            assert!(include_str!("docs.html").contains(path.as_str()), "{path}");
        }
    }
}
