//! Which columns feed which field: by explicit rules, or recognised by the header's names.

mod columns;
mod field;
mod filter;
mod header_names;
mod names;
mod rule;
mod rule_error;
mod transform;
mod wrapped;

pub use field::Field;
pub use filter::Filter;
pub use rule::{MapRule, Part, Piece, Selector};
pub use rule_error::MapRuleError;
pub use transform::Transform;

pub(super) use columns::{Columns, Encode, ExplicitRule, FieldSlot, FirstColumns, ValueSource};
pub(super) use header_names::fits;
pub(super) use names::{find_name, hint_for, last_part, listing_column, parts_of, squashed, unique_names};
pub(super) use transform::{Unreadable, apply};
pub(super) use wrapped::addresses_in;
