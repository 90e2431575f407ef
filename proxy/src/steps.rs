//! The steps of a request, in the order in which `gateway` takes them.

mod abandoned;
pub(crate) mod admit;
pub(crate) mod authenticate;
pub(crate) mod downstream;
pub(crate) mod forward;
pub(crate) mod forwarded;
pub(crate) mod look_up;
pub(crate) mod meter;
pub(crate) mod plan;
pub(crate) mod receive;
pub(crate) mod reserve;
pub(crate) mod settle;
pub(crate) mod streamed;
pub(crate) mod underway;
pub(crate) mod wasted;
pub(crate) mod whole;
