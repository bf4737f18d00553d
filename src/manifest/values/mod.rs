//! Values: how a cell's text becomes what the service takes.

pub(super) mod coordinates;
pub(super) mod datetime;
pub(super) mod tags;
