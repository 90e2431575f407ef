//! The steps of a request, in the order in which `gateway` takes them.

pub(crate) mod authenticate;
pub(crate) mod forward;
pub(crate) mod meter;
pub(crate) mod receive;
pub(crate) mod reserve;
pub(crate) mod settle;
