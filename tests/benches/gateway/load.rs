//! Callers that ask as fast as they are answered, each on a connection of its own.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::measure::{Sample, cpu_time};
use crate::setup::Target;

/// One run against one target.
pub(crate) struct Load<'a> {
    pub(crate) target: &'a Target,
    pub(crate) concurrency: usize,
    pub(crate) duration: Duration,
}

impl Load<'_> {
    pub(crate) async fn run(&self) -> Sample {
        let mut callers = Vec::new();
        for index in 0..self.concurrency {
            let (target, duration) = (self.target.clone(), self.duration);
            callers.push(tokio::spawn(call_until(target, index, duration)));
        }
        let (cpu_before, began) = (cpu_time(self.target.process), Instant::now());
        let mut latencies = Vec::new();
        for caller in callers {
            latencies.extend(caller.await.unwrap());
        }
        let elapsed = began.elapsed();
        let cpu = cpu_time(self.target.process).saturating_sub(cpu_before);
        Sample::new(latencies, elapsed, cpu)
    }
}

async fn call_until(target: Target, index: usize, duration: Duration) -> Vec<Duration> {
    let mut sender = connect(target.address).await;
    let path = &target.paths[index % target.paths.len()];
    let deadline = Instant::now() + duration;
    let mut latencies = Vec::new();
    while Instant::now() < deadline {
        let began = Instant::now();
        let request = Request::post(path.as_str())
            .header("host", "localhost")
            .header("content-type", "application/json")
            .header("authorization", target.authorization.as_str())
            .body(Full::new(target.body.clone()))
            .unwrap();
        let response = sender.send_request(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(status.is_success(), "{}: {status} {body:?}", target.name);
        latencies.push(began.elapsed());
    }
    latencies
}

async fn connect(address: std::net::SocketAddr) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}
