//! Connections: nobody who only holds them, or sends bytes that are no request, keeps others out.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tollgate_tests::fixture::ALPHA;
use tollgate_tests::process::free_port;
use tollgate_tests::{Client, Proxy, World, raw, wait};

const HEALTH: &[u8] = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_mins(1);

async fn connect(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(("127.0.0.1", proxy.port()))
        .await
        .expect("the proxy listens")
}

/// Connects from another address of this machine.
async fn connect_from(proxy: &Proxy, address: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    let from = format!("{address}:0").parse().expect("an address");
    socket.bind(from).expect("an address of this machine");
    let to = format!("127.0.0.1:{}", proxy.port());
    let to = to.parse().expect("an address");
    socket.connect(to).await.expect("the proxy listens")
}

/// Sends a request and reads until the answer's body has come; nothing if the connection ends.
async fn ask(stream: &mut TcpStream, request: &[u8]) -> Option<String> {
    stream.write_all(request).await.ok()?;
    let mut seen = Vec::new();
    let read = async {
        while !seen.ends_with(b"}") {
            if stream.read_buf(&mut seen).await.ok()? == 0 {
                return None;
            }
        }
        Some(())
    };
    timeout(PATIENCE, read)
        .await
        .expect("an answer or an end")?;
    Some(String::from_utf8_lossy(&seen).into_owned())
}

/// Everything until the other side closes.
async fn read_to_end(mut stream: TcpStream) -> String {
    let mut seen = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut seen)).await;
    // A connection that is reset has ended too.
    let _ = read.expect("the proxy closes the connection");
    String::from_utf8_lossy(&seen).into_owned()
}

#[tokio::test]
async fn a_header_that_trickles_is_given_up() {
    let world = World::sqlite()
        .await
        .with("TOLLGATE_SERVER_HEADER_TIMEOUT_MS", "700");
    let proxy = world.start().await;
    for begun in [
        "GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
        "\r\n\r\n",
        "",
    ] {
        let mut stream = connect(&proxy).await;
        let _ = stream.write_all(begun.as_bytes()).await;
        // Each byte comes long before any time-out of a single read.
        let ended = async {
            loop {
                let sent = stream.write_all(b"x").await;
                let mut byte = [0; 64];
                let read = timeout(Duration::from_millis(50), stream.read(&mut byte)).await;
                if sent.is_err() || matches!(read, Ok(Ok(0) | Err(_))) {
                    return;
                }
            }
        };
        timeout(PATIENCE, ended).await.expect("the connection ends");
    }
    // A request in two parts that comes in time is served, and the next one on its connection.
    let mut stream = connect(&proxy).await;
    stream.write_all(&HEALTH[..20]).await.expect("sent");
    assert!(ask(&mut stream, &HEALTH[20..]).await.is_some());
    assert!(ask(&mut stream, HEALTH).await.is_some());
}

#[tokio::test]
async fn bodies_that_do_not_end_lock_nobody_out() {
    let world = World::sqlite()
        .await
        .with("TOLLGATE_SERVER_CONNECTIONS", "30");
    let proxy = world.start().await;
    let client = proxy.client(ALPHA);
    let job = client.create_job().await;
    let head = format!(
        "POST /api/jobs/{job}/llm-call HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {}\r\n\
         Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n{{",
        ALPHA.key
    );
    let mut open = Vec::new();
    for number in 0..120_u8 {
        let mut stream = connect_from(&proxy, &format!("127.0.1.{}", number % 3 + 1)).await;
        let _ = stream.write_all(head.as_bytes()).await;
        open.push(stream);
        if number % 10 == 9 {
            let mut other = connect_from(&proxy, "127.0.2.1").await;
            let health = ask(&mut other, HEALTH).await.expect("an answer");
            assert!(health.contains("healthy"), "{health}");
            assert_eq!(client.call(&job, "Hi").await.status, 200);
        }
    }
    drop(open);
    world.verify().await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_time() {
    let world = World::sqlite()
        .await
        .with("TOLLGATE_SERVER_KEEPALIVE_SECONDS", "1");
    let proxy = world.start().await;
    let mut stream = connect(&proxy).await;
    let answer = ask(&mut stream, HEALTH).await.expect("an answer");
    assert!(answer.contains("healthy"));
    assert_eq!(read_to_end(stream).await, "");
}

#[tokio::test]
async fn hundreds_of_idle_connections_lock_nobody_out() {
    let world = World::sqlite()
        .await
        .with("TOLLGATE_SERVER_CONNECTIONS", "40");
    let proxy = world.start().await;
    let mut idle = Vec::new();
    for number in 0..200_u8 {
        let mut stream = connect_from(&proxy, &format!("127.0.1.{}", number % 4 + 1)).await;
        // Some have been served once, some have never sent anything.
        if number % 2 == 0 {
            let _ = ask(&mut stream, HEALTH).await;
        }
        idle.push(stream);
    }
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let _ = alpha.call(&job, "Hi").await.expect(200);
}

#[tokio::test]
async fn one_address_has_its_share_of_the_connections() {
    let world = World::sqlite()
        .await
        .with("TOLLGATE_SERVER_CONNECTIONS", "40")
        .with("TOLLGATE_SERVER_CONNECTIONS_PER_ADDRESS", "3")
        .with("TOLLGATE_SERVER_TRUSTED_ADDRESSES", "127.0.2.0/24");
    let proxy = world.start().await;
    let job = proxy.client(ALPHA).create_job().await;
    let body = json!({ "messages": [{ "role": "user", "content": "do:silent" }] });
    let call = raw::post_json(&format!("/api/jobs/{job}/llm-call"), ALPHA.key, &body);
    let mut busy = Vec::new();
    for _ in 0..3 {
        let mut stream = connect_from(&proxy, "127.0.3.1").await;
        stream.write_all(&call).await.expect("sent");
        busy.push(stream);
    }
    wait::until("the calls are at the provider", async || {
        (world.upstream.count() >= 3).then_some(())
    })
    .await;
    let mut fourth = connect_from(&proxy, "127.0.3.1").await;
    let refused = ask(&mut fourth, HEALTH).await.expect("an answer");
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    let mut other = connect_from(&proxy, "127.0.3.2").await;
    assert!(ask(&mut other, HEALTH).await.is_some());
    let mut many = Vec::new();
    for _ in 0..6 {
        let mut stream = connect_from(&proxy, "127.0.2.1").await;
        stream.write_all(&call).await.expect("sent");
        many.push(stream);
    }
    wait::until("all calls are at the provider", async || {
        (world.upstream.count() >= 9).then_some(())
    })
    .await;
}

#[tokio::test]
async fn whatever_is_wrong_with_a_body_ends_the_connection() {
    let world = World::sqlite()
        .await
        .with("TOLLGATE_LIMITS_BODY_READ_TIMEOUT_MS", "500")
        .with("TOLLGATE_LIMITS_BODY_BYTES", "1024");
    let proxy = world.start().await;
    let large = "x".repeat(3_000);
    let keys = [
        format!("Authorization: Bearer {}\r\n", ALPHA.key),
        String::new(),
    ];
    let mut cases = JoinSet::new();
    for key in &keys {
        for (method, path) in [
            ("POST", "/api/jobs/create"),
            ("POST", "/v1/chat/completions"),
            ("GET", "/health"),
            ("GET", "/api/teams/alpha/jobs"),
            ("POST", "/nowhere"),
        ] {
            for framed in [
                "Transfer-Encoding: chunked\r\n\r\nzz\r\nno chunk\r\n",
                "Transfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n",
                "Transfer-Encoding: chunked\r\n\r\n5\r\nab",
                "Content-Length: 1000\r\n\r\nshort",
                &format!("Content-Length: 3000\r\n\r\n{large}"),
            ] {
                // Calls may have larger bodies; that one is only no JSON.
                if path.starts_with("/v1/") && framed.contains("3000") {
                    continue;
                }
                let mut request = format!(
                    "{method} {path} HTTP/1.1\r\nHost: localhost\r\n\
                     Content-Type: application/json\r\n{key}{framed}"
                );
                request.push_str("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n");
                let mut stream = connect(&proxy).await;
                let is_short = framed.contains("ab") || framed.contains("short");
                cases.spawn(async move {
                    let _ = stream.write_all(request.as_bytes()).await;
                    (request, read_to_end(stream).await, is_short)
                });
            }
        }
    }
    while let Some(case) = cases.join_next().await {
        let (request, answer, is_short) = case.expect("no panic");
        let answers = answer.matches("HTTP/1.1 ").count();
        assert!(answers <= 1, "{request}\n{answer}");
        assert!(answers == 1 || is_short, "{request}\n{answer}");
        assert!(!answer.contains("alive"), "{request}\n{answer}");
    }
}

/// What a process has in memory, in bytes.
fn memory_of(proxy: &Proxy) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", proxy.id())).expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.and_then(|line| line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok());
    number.expect("a size in kB") * 1024
}

#[tokio::test]
async fn bodies_of_callers_without_a_key_are_not_kept() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let before = memory_of(&proxy);
    let body = "x".repeat(900_000);
    let mut callers = Vec::new();
    for _ in 0..200 {
        let mut stream = connect(&proxy).await;
        let header = "POST /api/jobs/create HTTP/1.1\r\nHost: localhost\r\n\
                      Authorization: Bearer sk-unknown\r\nContent-Length: 1000000\r\n\r\n";
        let _ = stream.write_all(header.as_bytes()).await;
        let body = body.clone();
        callers.push(tokio::spawn(async move {
            let _ = stream.write_all(body.as_bytes()).await;
            let mut seen = [0; 12];
            let _ = timeout(PATIENCE, stream.read_exact(&mut seen)).await;
            (String::from_utf8_lossy(&seen).into_owned(), stream)
        }));
    }
    let mut streams = Vec::new();
    for caller in callers {
        let (answer, stream) = caller.await.expect("no panic");
        assert_eq!(answer, "HTTP/1.1 401");
        streams.push(stream);
    }
    let grown = memory_of(&proxy).saturating_sub(before);
    assert!(grown < 80_000_000, "200 bodies of 1 MB took {grown} bytes");
}

#[tokio::test]
async fn a_log_that_cannot_be_written_stops_nothing() {
    let world = World::sqlite().await;
    let port = free_port();
    let world = world.with("TOLLGATE_SERVER_LISTEN", &format!("127.0.0.1:{port}"));
    std::os::unix::fs::symlink("/dev/full", world.folder().join("spawned.log")).unwrap();
    let mut proxy = world.spawn(&["serve"]);
    let client = Client::new(port, ALPHA.key).of_team(ALPHA.id);
    wait::until("the proxy serves without a log", async || {
        assert!(proxy.ended().is_none(), "it has ended");
        let ready = client.try_get("/readyz").await;
        ready.ok().filter(|a| a.status == 200).map(|_| ())
    })
    .await;
    // Each failed attempt is a line of the log.
    for prompt in ["do:status=500", "do:status=401", "do:cut"] {
        let job = client.create_job().await;
        let _ = client.call(&job, prompt).await;
    }
    assert_eq!(client.get("/livez").await.status, 200);
    assert!(proxy.ended().is_none());
    proxy.kill();
    world.verify().await;
}
