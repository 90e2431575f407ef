//! A provider that gives every request the same answer, whatever it is.

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A provider listening on a port of its own. Dropping it stops it.
#[derive(Debug)]
pub struct Canned {
    port: u16,
    server: JoinHandle<()>,
}

impl Canned {
    /// Starts one whose answers have this media type and this body.
    pub async fn start(kind: &'static str, body: &str) -> Self {
        let tcp = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = tcp.local_addr().expect("an address").port();
        let body = body.to_owned();
        let answer = async move || ([(header::CONTENT_TYPE, kind)], body).into_response();
        let app = Router::new().fallback(answer);
        let server = tokio::spawn(async move {
            // Ends only when the test drops the provider.
            let _ = axum::serve(tcp, app).await;
        });
        Self { port, server }
    }

    /// Starts one whose answers are streams of these events.
    pub async fn events(events: &[&str]) -> Self {
        let body: String = events
            .iter()
            .map(|event| format!("data: {event}\n\n"))
            .collect();
        Self::start("text/event-stream", &body).await
    }

    /// Its base URL.
    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }
}

impl Drop for Canned {
    fn drop(&mut self) {
        self.server.abort();
    }
}
