//! A provider that streams. It runs in the benchmark's own process, so that whoever receives a
//! chunk can tell by the same clock how long ago it was sent.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Comes before the time in a chunk's text, and nowhere else.
pub(crate) const MARK: u8 = b'@';

/// How many digits the time has: nanoseconds since [`EPOCH`].
pub(crate) const STAMP_DIGITS: usize = 15;

/// When the benchmark began.
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                      cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n";

/// The time as chunks tell it.
pub(crate) fn nanos(instant: Instant) -> u64 {
    u64::try_from(instant.duration_since(*EPOCH).as_nanos()).unwrap()
}

/// How answers are streamed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) chunks: usize,
    /// From one chunk to the next; all come at once if there is none.
    pub(crate) pause: Duration,
}

/// The provider. It lives as long as the process.
#[derive(Debug, Clone)]
pub(crate) struct StreamingUpstream {
    pub(crate) address: SocketAddr,
    pace: Arc<Mutex<Pace>>,
}

impl StreamingUpstream {
    /// Serves on a thread of its own, so that callers do not delay it.
    pub(crate) fn start(pace: Pace) -> Self {
        LazyLock::force(&EPOCH);
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let upstream = Self {
            address: listener.local_addr().unwrap(),
            pace: Arc::new(Mutex::new(pace)),
        };
        let served = upstream.clone();
        std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap()
                .block_on(served.serve(listener));
        });
        upstream
    }

    /// Answers that begin from now on have this pace.
    pub(crate) fn set_pace(&self, pace: Pace) {
        *self.pace.lock().unwrap() = pace;
    }

    fn pace(&self) -> Pace {
        *self.pace.lock().unwrap()
    }

    async fn serve(self, listener: std::net::TcpListener) {
        let listener = TcpListener::from_std(listener).unwrap();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            tokio::spawn(self.clone().answer_all(stream));
        }
    }

    /// Answers request after request until the connection ends.
    async fn answer_all(self, mut stream: TcpStream) {
        let mut unread = Vec::new();
        while take_request(&mut stream, &mut unread).await.is_some() {
            if answer(&mut stream, self.pace()).await.is_err() {
                return;
            }
        }
    }
}

/// Reads a request and forgets it. It has to tell its length.
async fn take_request(stream: &mut TcpStream, unread: &mut Vec<u8>) -> Option<()> {
    loop {
        let head = unread.windows(4).position(|bytes| bytes == b"\r\n\r\n");
        if let Some(head) = head {
            let text = String::from_utf8_lossy(&unread[..head]).to_lowercase();
            let (_, rest) = text.split_once("content-length:").unwrap();
            let length: usize = rest.lines().next().unwrap().trim().parse().unwrap();
            let end = head + 4 + length;
            while unread.len() < end {
                read_more(stream, unread).await?;
            }
            unread.drain(..end);
            return Some(());
        }
        read_more(stream, unread).await?;
    }
}

async fn read_more(stream: &mut TcpStream, unread: &mut Vec<u8>) -> Option<()> {
    let count = stream.read_buf(unread).await.ok()?;
    (count > 0).then_some(())
}

async fn answer(stream: &mut TcpStream, pace: Pace) -> std::io::Result<()> {
    let mut out = HEAD.to_vec();
    if pace.pause.is_zero() {
        let now = nanos(Instant::now());
        for _ in 0..pace.chunks {
            write_chunk(&mut out, now);
        }
    } else {
        let began = tokio::time::Instant::now();
        for index in 0..pace.chunks {
            let due = began + pace.pause * u32::try_from(index).unwrap();
            tokio::time::sleep_until(due).await;
            write_chunk(&mut out, nanos(Instant::now()));
            stream.write_all(&out).await?;
            out.clear();
        }
    }
    write_end(&mut out);
    stream.write_all(&out).await
}

/// A chunk like those that OpenAI sends, of about the same size.
fn write_chunk(out: &mut Vec<u8>, nanos: u64) {
    let mark = char::from(MARK);
    let delta = format!("{{\"content\":\"{mark}{nanos:0STAMP_DIGITS$}\"}}");
    let choice =
        format!("{{\"index\":0,\"delta\":{delta},\"logprobs\":null,\"finish_reason\":null}}");
    write_event(out, &choice, "");
}

/// The last words: why the answer ends, what it used, and that it is complete.
fn write_end(out: &mut Vec<u8>) {
    let choice = "{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}";
    write_event(out, choice, "");
    let usage = ",\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":100,\"total_tokens\":200}";
    write_event(out, "", usage);
    frame(out, "data: [DONE]\n\n");
    out.extend_from_slice(b"0\r\n\r\n");
}

fn write_event(out: &mut Vec<u8>, choice: &str, usage: &str) {
    let event = format!(
        "data: {{\"id\":\"chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG\",\
         \"object\":\"chat.completion.chunk\",\"created\":1741570283,\
         \"model\":\"gpt-4o-2024-08-06\",\"service_tier\":\"default\",\
         \"system_fingerprint\":\"fp_fc9f1d7035\",\"choices\":[{choice}]{usage}}}\n\n"
    );
    frame(out, &event);
}

/// One chunk of the transfer encoding.
fn frame(out: &mut Vec<u8>, event: &str) {
    out.extend_from_slice(format!("{:x}\r\n", event.len()).as_bytes());
    out.extend_from_slice(event.as_bytes());
    out.extend_from_slice(b"\r\n");
}
