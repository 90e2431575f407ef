//! What a hostile neighbour does.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tollgate_tests::Client;
use tollgate_tests::fixture::ALPHA;

type Attackers = Vec<JoinHandle<()>>;
type Stop = Arc<AtomicBool>;

/// An attack that is being started.
type Starting = Pin<Box<dyn Future<Output = Attackers>>>;

/// Something that is done all the time while others are measured.
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    pub(crate) start: fn(u16, Stop) -> Starting,
}

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "nothing",
        start: |_, _| Box::pin(async { Vec::new() }),
    },
    Attack {
        name: "6 callers with call_metadata of 9 MB",
        start: |port, stop| Box::pin(large_metadata(port, stop)),
    },
    Attack {
        name: "6 callers with bodies of 9 MB",
        start: |port, stop| Box::pin(large_bodies(port, stop)),
    },
    Attack {
        name: "10 completes of a job of many calls",
        start: |port, stop| Box::pin(large_job(port, stop)),
    },
    Attack {
        name: "40 lists of 1,000 jobs",
        start: |port, stop| Box::pin(lists(port, stop)),
    },
    Attack {
        name: "a flood of 256 calls at once",
        start: |port, stop| Box::pin(flood(port, stop)),
    },
    Attack {
        name: "500 idle connections",
        start: |port, _| Box::pin(idle(port)),
    },
    Attack {
        name: "200 slow headers",
        start: |port, _| Box::pin(slow_headers(port)),
    },
    Attack {
        name: "100 bodies of 1 MB without a key",
        start: |port, stop| Box::pin(no_key(port, stop)),
    },
];

/// Callers that do the same thing again and again.
fn callers<F, W>(count: usize, stop: &Stop, work: F) -> Attackers
where
    F: Fn() -> W + Clone + Send + 'static,
    W: Future<Output = ()> + Send,
{
    let one = |_| {
        let (stop, work) = (stop.clone(), work.clone());
        tokio::spawn(async move {
            while !stop.load(Ordering::SeqCst) {
                work().await;
            }
        })
    };
    (0..count).map(one).collect()
}

fn alpha(port: u16) -> Client {
    Client::new(port, ALPHA.key).of_team(ALPHA.id)
}

/// Sends the same body again and again.
fn posting(port: u16, (count, stop): (usize, Stop), path: String, body: &Value) -> Attackers {
    let client = alpha(port);
    let body: Arc<str> = body.to_string().into();
    callers(count, &stop, move || {
        let request = client
            .request(Method::POST, &path)
            .header("content-type", "application/json")
            .body(body.to_string());
        let client = client.clone();
        async move {
            let _ = client.try_send(request).await;
        }
    })
}

async fn large_metadata(port: u16, stop: Stop) -> Attackers {
    let job = alpha(port).create_job().await;
    let values: Vec<Value> = (0..900_000).map(|n| json!([n % 10, n % 7])).collect();
    let body = json!({
        "messages": [{ "role": "user", "content": "Hi" }],
        "call_metadata": { "a": values },
    });
    let path = format!("/api/jobs/{job}/llm-call");
    posting(port, (6, stop), path, &body)
}

async fn large_bodies(port: u16, stop: Stop) -> Attackers {
    let job = alpha(port).create_job().await;
    let content = "x".repeat(9_000_000);
    let body = json!({ "messages": [{ "role": "user", "content": content }] });
    let path = format!("/api/jobs/{job}/llm-call");
    posting(port, (6, stop), path, &body)
}

async fn large_job(port: u16, stop: Stop) -> Attackers {
    let client = alpha(port);
    let job = client.create_job().await;
    let filling = (0..64).map(|_| {
        let (client, job) = (client.clone(), job.clone());
        tokio::spawn(async move {
            for _ in 0..200 {
                let _ = client.call(&job, "Hi").await;
            }
        })
    });
    for filler in filling.collect::<Vec<_>>() {
        let _ = filler.await;
    }
    // One call in flight keeps the job from ending.
    let (held, open) = (client.clone(), job.clone());
    let holder = tokio::spawn(async move {
        let _ = held.call(&open, "do:silent").await;
    });
    let path = format!("/api/jobs/{job}/complete");
    let body = json!({ "status": "completed" });
    let mut attackers = posting(port, (10, stop), path, &body);
    attackers.push(holder);
    attackers
}

async fn lists(port: u16, stop: Stop) -> Attackers {
    let client = alpha(port);
    let making = (0..50).map(|_| {
        let client = client.clone();
        tokio::spawn(async move {
            for _ in 0..20 {
                let _ = client.create_job().await;
            }
        })
    });
    for maker in making.collect::<Vec<_>>() {
        let _ = maker.await;
    }
    let path = format!("/api/teams/{}/jobs?limit=1000", ALPHA.id);
    callers(40, &stop, move || {
        let request = client.request(Method::GET, &path);
        let client = client.clone();
        async move {
            let _ = client.try_send(request).await;
        }
    })
}

async fn flood(port: u16, stop: Stop) -> Attackers {
    let job = alpha(port).create_job().await;
    let body = json!({ "messages": [{ "role": "user", "content": "Hi" }] });
    let path = format!("/api/jobs/{job}/llm-call");
    posting(port, (256, stop), path, &body)
}

/// Keeps a connection and its unfinished bytes until the attack ends.
fn holding(port: u16, count: usize, bytes: &'static [u8], gap: Option<Duration>) -> Attackers {
    let one = |_| {
        tokio::spawn(async move {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let _ = stream.write_all(bytes).await;
            if let Some(gap) = gap {
                while stream.write_all(b"x").await.is_ok() {
                    tokio::time::sleep(gap).await;
                }
            }
            let mut ignored = Vec::new();
            let _ = stream.read_to_end(&mut ignored).await;
        })
    };
    (0..count).map(one).collect()
}

async fn idle(port: u16) -> Attackers {
    let request = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    std::future::ready(holding(port, 500, request, None)).await
}

async fn slow_headers(port: u16) -> Attackers {
    let begun = b"GET /health HTTP/1.1\r\nX-Slow: ";
    std::future::ready(holding(port, 200, begun, Some(Duration::from_millis(100)))).await
}

async fn no_key(port: u16, stop: Stop) -> Attackers {
    let client = Client::new(port, "sk-unknown-key-of-nobody");
    let body: Arc<str> = "x".repeat(1_000_000).into();
    let attackers = callers(100, &stop, move || {
        let request = client
            .request(Method::POST, "/api/jobs/create")
            .body(body.to_string());
        let client = client.clone();
        async move {
            let _ = client.try_send(request).await;
        }
    });
    std::future::ready(attackers).await
}
