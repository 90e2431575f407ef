//! End-to-end tests of the built binaries, through their public doors.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

mod contract;
mod setup;

mod answer_reading;
mod attention;
mod auth;
mod bad_input;
mod budget;
mod cache;
mod call;
mod charge;
mod circuit;
mod connection;
mod credit;
mod description;
mod fallback;
mod fee;
mod field;
mod health;
mod idempotency;
mod isolation;
mod job;
mod job_input;
mod job_list;
mod key;
mod kinds;
mod large;
mod limit;
mod live;
mod messages_api;
mod openai_api;
mod openai_refusals;
mod price;
mod provider_count;
mod routing;
mod single;
mod suspend;
mod thinking;
mod upstream_failure;
mod usage;

mod crash;
mod hostile;
mod hostile_texts;
mod race;
mod retention;
mod secrets;
mod shutdown;
mod store;
mod stream;
mod stream_fault;
mod stream_framing;
mod stream_leave;
mod stream_repeat;

mod admin_cli;
mod admin_tui;
mod audit;
mod demo;
mod migrations;
mod provider_keys;
mod python_clients;
mod quickstart;
mod real_llm;
mod routing_admin;
mod scripted;
mod team_list;

mod page;
mod plans;
mod tidy;
