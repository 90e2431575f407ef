//! JSON, written piece by piece: commas come by themselves.

use bytes::Bytes;

/// A JSON text that grows. Pieces that are JSON already are copied as they are.
#[derive(Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// Puts a comma in front of what is not the first in its object or list, or a field's value.
    fn separate(&mut self) {
        if !matches!(self.0.last(), None | Some(b'{' | b'[' | b':')) {
            self.0.push(b',');
        }
    }

    /// The name of a field; its value is written next.
    pub(super) fn name(&mut self, name: &'static str) -> &mut Self {
        self.text(name);
        self.0.push(b':');
        self
    }

    /// A string.
    pub(super) fn text(&mut self, text: &str) {
        self.separate();
        // Writing JSON into memory fails only for maps with keys that are no strings.
        let _ = serde_json::to_writer(&mut self.0, text);
    }

    /// A value that is JSON already.
    pub(super) fn raw(&mut self, json: &str) {
        self.separate();
        self.0.extend_from_slice(json.as_bytes());
    }

    pub(super) fn integer(&mut self, integer: i64) {
        self.raw(&integer.to_string());
    }

    /// An object: its fields are what `fields` writes.
    pub(super) fn object<T>(&mut self, fields: impl FnOnce(&mut Self) -> T) -> T {
        self.within(b'{', b'}', fields)
    }

    /// A list: its items are what `items` writes.
    pub(super) fn list<T>(&mut self, items: impl FnOnce(&mut Self) -> T) -> T {
        self.within(b'[', b']', items)
    }

    fn within<T>(&mut self, open: u8, close: u8, inner: impl FnOnce(&mut Self) -> T) -> T {
        self.separate();
        self.0.push(open);
        let result = inner(self);
        self.0.push(close);
        result
    }

    pub(super) fn into_bytes(self) -> Bytes {
        self.0.into()
    }
}

/// Whether a text is a JSON object that every parser takes.
pub(super) fn is_object(text: &str) -> bool {
    type Object = serde_json::Map<String, serde_json::Value>;
    text.starts_with('{') && serde_json::from_str::<Object>(text).is_ok()
}

/// The same JSON without spaces between its pieces. Providers that write for human eyes do not
/// mean the spaces within arguments to be read.
pub(super) fn compact(json: &str) -> String {
    let mut compacted = String::with_capacity(json.len());
    let (mut in_string, mut escaped) = (false, false);
    for character in json.chars() {
        if in_string {
            in_string = escaped || character != '"';
            escaped = !escaped && character == '\\';
        } else if character.is_ascii_whitespace() {
            continue;
        } else {
            in_string = character == '"';
        }
        compacted.push(character);
    }
    compacted
}
