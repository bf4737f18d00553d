//! Which columns feed which field: told by rules, or recognised by the header's names.

mod columns;
mod field;
mod filter;
mod rule;

pub use field::Field;
pub use filter::Filter;
pub use rule::{MapRule, MapRuleFault, Part, Piece};

pub(super) use columns::{
    Columns, Encode, FirstColumns, Slot, Source, Told, find_name, listing, plain, unique_names,
};
