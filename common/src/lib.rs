//! What the proxy and the administration share: identifiers, money, rules, and the database.
//!
//! Nothing here listens on a socket or draws on a terminal. `ledger`, `job`, `price` and `policy`
//! decide without I/O; `db` is the only module that talks to a database.

pub mod clock;
pub mod id;
pub mod metadata;
pub mod money;

pub mod filter;
pub mod job;
pub mod key;
pub mod ledger;
pub mod limit;
pub mod live;
pub mod model;
pub mod org;
pub mod policy;
pub mod price;
pub mod provider;
pub mod secret;
pub mod standing;
pub mod team;
pub mod usage;
pub mod usage_note;

pub mod command;
pub mod config;
pub mod db;
pub mod role;
