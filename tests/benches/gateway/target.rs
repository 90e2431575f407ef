//! What is driven, and the connections on which that happens.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// One thing that is measured.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    pub(crate) process: u32,
    /// Callers take turns with them.
    pub(crate) paths: Vec<String>,
    pub(crate) authorization: String,
    pub(crate) body: Bytes,
}

impl Target {
    /// The request of the caller with this index.
    pub(crate) fn request(&self, index: usize) -> Request<Full<Bytes>> {
        Request::post(&self.paths[index % self.paths.len()])
            .header("host", "localhost")
            .header("content-type", "application/json")
            .header("authorization", &self.authorization)
            .body(Full::new(self.body.clone()))
            .unwrap()
    }
}

/// A caller with a connection of its own.
pub(crate) struct Caller {
    target: Target,
    index: usize,
    sender: SendRequest<Full<Bytes>>,
}

impl Caller {
    pub(crate) async fn connect(target: Target, index: usize) -> Self {
        let stream = TcpStream::connect(target.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self {
            target,
            index,
            sender,
        }
    }

    /// Asks and returns the body of the answer, which has to be a success.
    pub(crate) async fn ask(&mut self) -> Incoming {
        self.sender.ready().await.unwrap();
        let request = self.target.request(self.index);
        let response = self.sender.send_request(request).await.unwrap();
        let status = response.status();
        assert!(status.is_success(), "{}: {status}", self.target.name);
        response.into_body()
    }
}
