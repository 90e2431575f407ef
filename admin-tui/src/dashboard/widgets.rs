//! Pieces that screens are made of.

pub(crate) mod bars;
pub(crate) mod columns;
pub(crate) mod curve;
pub(crate) mod facts;
pub(crate) mod list;
pub(crate) mod pane;
