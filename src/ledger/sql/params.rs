//! The values of a statement's parameters: a tuple, an array or a slice.

use rusqlite::types::{ToSql, Value};

use crate::ledger::LedgerError;

/// Receives the number of each parameter, from 1, and its value.
type Bind<'b> = dyn FnMut(usize, &dyn ToSql) -> Result<(), LedgerError> + 'b;

/// The values of the parameters `?1`, `?2` and so on.
pub(in crate::ledger) trait Params {
    /// How many they are.
    fn count(&self) -> usize;

    /// Calls `bind` with each.
    fn each(&self, bind: &mut Bind<'_>) -> Result<(), LedgerError>;
}

impl Params for [&dyn ToSql; 0] {
    fn count(&self) -> usize {
        0
    }

    fn each(&self, _: &mut Bind<'_>) -> Result<(), LedgerError> {
        Ok(())
    }
}

impl<T: ToSql> Params for [T; 1] {
    fn count(&self) -> usize {
        1
    }

    fn each(&self, bind: &mut Bind<'_>) -> Result<(), LedgerError> {
        bind(1, &self[0])
    }
}

impl Params for &[Value] {
    fn count(&self) -> usize {
        self.len()
    }

    fn each(&self, bind: &mut Bind<'_>) -> Result<(), LedgerError> {
        self.iter().zip(1..).try_for_each(|(value, number)| bind(number, value))
    }
}

macro_rules! tuple {
    ($count:literal: $($type:ident $field:tt),+) => {
        impl<$($type: ToSql),+> Params for ($($type,)+) {
            fn count(&self) -> usize {
                $count
            }

            fn each(&self, bind: &mut Bind<'_>) -> Result<(), LedgerError> {
                $(bind($field + 1, &self.$field)?;)+
                Ok(())
            }
        }
    };
}

tuple!(2: A 0, B 1);
tuple!(3: A 0, B 1, C 2);
tuple!(4: A 0, B 1, C 2, D 3);
tuple!(5: A 0, B 1, C 2, D 3, E 4);
tuple!(6: A 0, B 1, C 2, D 3, E 4, F 5);
tuple!(7: A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuple!(8: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
tuple!(9: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8);
tuple!(10: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9);
tuple!(11: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10);
tuple!(12: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11);
