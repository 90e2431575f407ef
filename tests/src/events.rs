//! Streams of events, as a caller reads them.

use reqwest::Response;
use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::client::Answer;

/// What a stream brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A line that means nothing but "still here"; what follows its colon.
    Comment(String),
    /// An event.
    Message {
        /// Its name, if it has one.
        name: Option<String>,
        /// Its data, lines joined.
        data: String,
    },
}

impl Event {
    /// The data of an event; empty for a comment.
    pub fn data(&self) -> &str {
        match self {
            Self::Comment(_) => "",
            Self::Message { data, .. } => data,
        }
    }

    /// The name of an event; empty if it has none.
    pub fn name(&self) -> &str {
        match self {
            Self::Comment(_) => "",
            Self::Message { name, .. } => name.as_deref().unwrap_or_default(),
        }
    }

    /// The data as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(self.data()).unwrap_or_default()
    }

    /// Whether this is the `[DONE]` that ends a stream in OpenAI's dialect.
    pub fn is_done(&self) -> bool {
        self.data() == "[DONE]"
    }

    /// Whether this is a comment.
    pub const fn is_comment(&self) -> bool {
        matches!(self, Self::Comment(_))
    }

    /// The text that this piece of an answer adds, in OpenAI's dialect or Anthropic's; empty if it
    /// adds none.
    pub fn content(&self) -> String {
        let json = self.json();
        let content = json.pointer("/choices/0/delta/content");
        let content = content.or_else(|| json.pointer("/delta/text"));
        content
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    }
}

/// A stream that is being read. Dropping it hangs up.
#[derive(Debug)]
pub struct EventStream {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    response: Response,
    unread: Vec<u8>,
    name: Option<String>,
    data: Option<String>,
    ended: bool,
    broken: Option<String>,
}

impl EventStream {
    /// What this answer brings.
    pub fn of(response: Response) -> Self {
        Self {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            response,
            unread: Vec::new(),
            name: None,
            data: None,
            ended: false,
            broken: None,
        }
    }

    /// Fails unless the status is 200 and the answer is a stream of events.
    #[must_use]
    #[track_caller]
    pub fn expect_stream(self) -> Self {
        let kind = self.header("content-type");
        let is_stream = self.status == 200 && kind.starts_with("text/event-stream");
        assert!(is_stream, "no stream but {} {kind}", self.status);
        self
    }

    /// A header as text; empty if it is not there.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default()
    }

    /// The next event or comment; nothing at the end, be it a good one or not.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            while let Some(line) = self.take_line() {
                if let Some(event) = self.read_line(&line) {
                    return Some(event);
                }
            }
            if self.ended {
                return None;
            }
            match self.response.chunk().await {
                Ok(Some(bytes)) => self.unread.extend_from_slice(&bytes),
                Ok(None) => self.ended = true,
                Err(error) => {
                    self.ended = true;
                    self.broken = Some(format!("{error:?}"));
                }
            }
        }
    }

    /// The next event; comments are passed over.
    pub async fn next_message(&mut self) -> Option<Event> {
        loop {
            match self.next().await {
                Some(Event::Comment(_)) => {}
                other => return other,
            }
        }
    }

    /// All that is still to come, comments included.
    pub async fn collect(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }

    /// All the text that is still to come.
    pub async fn text(&mut self) -> String {
        self.collect().await.iter().map(Event::content).collect()
    }

    /// Why the connection broke, if the answer did not end properly.
    pub fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }

    /// The rest as an ordinary answer, which a refusal is.
    pub async fn answer(mut self) -> Answer {
        while let Ok(Some(bytes)) = self.response.chunk().await {
            self.unread.extend_from_slice(&bytes);
        }
        let json = serde_json::from_slice(&self.unread).unwrap_or_default();
        Answer {
            status: self.status,
            headers: self.headers,
            bytes: self.unread,
            json,
        }
    }

    fn take_line(&mut self) -> Option<String> {
        let end = self.unread.iter().position(|byte| *byte == b'\n')?;
        let line: Vec<u8> = self.unread.drain(..=end).collect();
        let line = String::from_utf8(line).expect("events are UTF-8");
        Some(line.trim_end_matches(['\n', '\r']).to_owned())
    }

    fn read_line(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            let name = self.name.take();
            let data = self.data.take()?;
            return Some(Event::Message { name, data });
        }
        if let Some(comment) = line.strip_prefix(':') {
            return Some(Event::Comment(comment.trim_start().to_owned()));
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.name = Some(value.to_owned()),
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            _ => {}
        }
        None
    }
}
