//! A way to a server that can be cut and mended.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A way to a server.
#[derive(Debug)]
pub struct Relay {
    port: u16,
    is_cut: watch::Sender<bool>,
    listening: JoinHandle<()>,
}

impl Relay {
    /// A way to the server at this address.
    pub async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("it has an address").port();
        let (is_cut, cut) = watch::channel(false);
        let listening = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, server, cut.clone()));
            }
        });
        Self {
            port,
            is_cut,
            listening,
        }
    }

    /// Where it begins.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Breaks all connections; new ones are broken at once.
    pub fn cut(&self) {
        self.is_cut.send_replace(true);
    }

    /// Lets connections pass again.
    pub fn mend(&self) {
        self.is_cut.send_replace(false);
    }
}

async fn pass(mut client: TcpStream, server: SocketAddr, mut cut: watch::Receiver<bool>) {
    if *cut.borrow() {
        return;
    }
    let Ok(mut server) = TcpStream::connect(server).await else {
        return;
    };
    // How a connection ends is no matter of the way between.
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => {}
        _ = cut.wait_for(|is_cut| *is_cut) => {}
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.listening.abort();
    }
}
