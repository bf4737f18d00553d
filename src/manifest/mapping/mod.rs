//! Which columns feed which field: told by rules, or recognised by the header's names.

mod columns;
mod field;
mod filter;
mod rule;

pub use field::Field;
pub use filter::Filter;
pub use rule::{MapRule, MapRuleError, Part, Piece};

pub(super) use columns::{
    Columns, Encode, ExplicitRule, FieldSlot, FirstColumns, ValueSource, find_name, listing, plain,
    unique_names,
};
