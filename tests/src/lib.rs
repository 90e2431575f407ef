//! What the end-to-end tests stand on: a database of their own, real processes of the built
//! binaries, a scripted provider, and a client.
//!
//! Everything here panics when it cannot do what it is asked: a test that has lost its ground has
//! failed, and the message says where.
#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::panic,
    reason = "only tests call this, and a panic is how a test fails"
)]

pub mod canned;
pub mod client;
pub mod door;
pub mod events;
pub mod fixture;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod pty;
pub mod python;
pub mod raw;
pub mod relay;
pub mod upstream;
pub mod wait;
pub mod world;

pub use canned::Canned;
pub use client::{Answer, Client};
pub use door::Door;
pub use events::{Event, EventStream};
pub use proxy::Proxy;
pub use pty::Terminal;
pub use relay::Relay;
pub use upstream::Upstream;
pub use world::{Store, World};
