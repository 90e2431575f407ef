//! Requests that no well-behaved client can be brought to send.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longer than any answer takes; a proxy that hangs fails its test.
const TIMEOUT: Duration = Duration::from_mins(1);

/// What came back, as far as anyone can say.
#[derive(Debug)]
pub struct RawAnswer {
    /// The status code; 0 if there was no answer at all.
    pub status: u16,
    /// All that came back as text.
    pub text: String,
}

impl RawAnswer {
    /// The JSON body; null if there is none.
    pub fn json(&self) -> Value {
        let body = self
            .text
            .split_once("\r\n\r\n")
            .map_or("", |(_, body)| body);
        let (start, end) = (body.find('{'), body.rfind('}'));
        let object = start
            .zip(end)
            .and_then(|(start, end)| body.get(start..=end));
        object
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default()
    }
}

/// Sends bytes and reads until the other side closes. The bytes should ask for that.
pub async fn exchange(port: u16, request: &[u8]) -> RawAnswer {
    let answer = timeout(TIMEOUT, send_and_read(port, request)).await;
    let bytes = answer.expect("the proxy answers or closes");
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let status = text
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3)?.parse().ok())
        .unwrap_or(0);
    RawAnswer { status, text }
}

async fn send_and_read(port: u16, request: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))
        .await
        .expect("the proxy listens");
    let mut bytes = Vec::new();
    // A proxy that has seen enough answers and closes before everything is sent.
    let _ = stream.write_all(request).await;
    let _ = stream.read_to_end(&mut bytes).await;
    bytes
}

/// A caller that sees the bytes of an answer as they come. Dropped, it has hung up.
#[derive(Debug)]
pub struct Caller {
    socket: TcpStream,
    seen: Vec<u8>,
}

impl Caller {
    /// Connects and sends a request.
    pub async fn send(port: u16, request: &[u8]) -> Self {
        let connected = TcpStream::connect(("127.0.0.1", port)).await;
        let mut socket = connected.expect("the proxy listens");
        let sent = socket.write_all(request).await;
        sent.expect("the proxy takes the request");
        let seen = Vec::new();
        Self { socket, seen }
    }

    /// Sends more on the same connection.
    pub async fn send_more(&mut self, bytes: &[u8]) {
        let sent = self.socket.write_all(bytes).await;
        sent.expect("the proxy takes more");
    }

    /// All that has come so far, as text.
    pub fn seen(&self) -> String {
        String::from_utf8_lossy(&self.seen).into_owned()
    }

    /// Reads until this text has come.
    pub async fn read_until(&mut self, text: &str) {
        self.read_times(text, 1).await;
    }

    /// Reads until this text has come so often.
    pub async fn read_times(&mut self, text: &str, count: usize) {
        while self.seen().matches(text).count() < count {
            let read = timeout(TIMEOUT, self.socket.read_buf(&mut self.seen)).await;
            let read = read.unwrap_or_else(|_| panic!("{text} did not come: {}", self.seen()));
            let ended = matches!(read, Ok(0) | Err(_));
            assert!(!ended, "it ended before {text} came: {}", self.seen());
        }
    }

    /// Reads what comes next, and says whether more may come.
    pub async fn read_more(&mut self) -> bool {
        let read = timeout(TIMEOUT, self.socket.read_buf(&mut self.seen)).await;
        let read = read.unwrap_or_else(|_| panic!("nothing more came: {}", self.seen()));
        !matches!(read, Ok(0) | Err(_))
    }

    /// Reads what comes next within this time, if anything does.
    pub async fn read_for(&mut self, time: Duration) {
        // Whether it has ended or only takes longer is seen later.
        let _ = timeout(time, self.socket.read_buf(&mut self.seen)).await;
    }

    /// Reads until the other side closes, and returns all that has come.
    pub async fn read_to_end(mut self) -> String {
        let read = timeout(TIMEOUT, self.socket.read_to_end(&mut self.seen)).await;
        // A connection that breaks has ended too.
        let _ = read.expect("the proxy closes");
        self.seen()
    }
}

/// A POST of JSON whose connection may be kept.
pub fn post_json(path: &str, key: &str, body: &Value) -> Vec<u8> {
    let body = body.to_string();
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A POST with these header lines and this body, after which the connection ends.
pub fn post(path: &str, key: &str, header_lines: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Authorization: Bearer {key}\r\n{header_lines}\r\n{body}"
    )
    .into_bytes()
}

/// A body in chunks of this size.
pub fn chunked(body: &[u8], size: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(body.len() + body.len() / size * 8 + 8);
    for chunk in body.chunks(size) {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}
