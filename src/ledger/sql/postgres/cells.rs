//! Values between PostgreSQL and the engine-independent rows: what comes as a truth value or a sum is an integer, as in SQLite.

use std::error::Error;

use bytes::{BufMut as _, BytesMut};
use rusqlite::types::{ToSqlOutput, Value};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use crate::ledger::{LedgerError, sql::params::Params};

/// The values of one row.
pub(in crate::ledger) type Cells = Vec<Value>;

/// The values of parameters, to be sent from another thread.
pub(super) fn owned(values: &impl Params) -> Result<Vec<Value>, LedgerError> {
    let mut owned = Vec::with_capacity(values.count());
    values.each(&mut |_, value| {
        let value = match value.to_sql()? {
            ToSqlOutput::Borrowed(value) => {
                value.try_into().map_err(|_| LedgerError::Impossible { what: "a text".to_owned() })?
            }
            ToSqlOutput::Owned(value) => value,
            _ => return Err(LedgerError::Impossible { what: "a value of an unknown kind".to_owned() }),
        };
        owned.push(value);
        Ok(())
    })?;
    Ok(owned)
}

/// A value of a parameter, as the type that the server expects.
#[derive(Debug)]
pub(super) struct SentValue<'v>(pub(super) &'v Value);

impl ToSql for SentValue<'_> {
    fn to_sql(&self, to: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self.0 {
            Value::Null => return Ok(IsNull::Yes),
            Value::Integer(number) => match *to {
                Type::INT8 => out.put_i64(*number),
                Type::INT4 => out.put_i32(i32::try_from(*number)?),
                Type::INT2 => out.put_i16(i16::try_from(*number)?),
                Type::BOOL => out.put_u8(u8::from(*number != 0)),
                #[expect(clippy::cast_precision_loss, reason = "the server asks for it")]
                Type::FLOAT8 => out.put_f64(*number as f64),
                _ => return Err(unexpected("an integer", to)),
            },
            Value::Real(number) if *to == Type::FLOAT8 => out.put_f64(*number),
            // a text of PostgreSQL has no zero bytes
            Value::Text(text) if is_text(to) => {
                out.put_slice(text.replace('\0', "\u{fffd}").as_bytes());
            }
            Value::Blob(bytes) if *to == Type::BYTEA => out.put_slice(bytes),
            Value::Real(_) => return Err(unexpected("a number", to)),
            Value::Text(_) => return Err(unexpected("a text", to)),
            Value::Blob(_) => return Err(unexpected("bytes", to)),
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

fn is_text(of: &Type) -> bool {
    [Type::TEXT, Type::VARCHAR, Type::NAME, Type::UNKNOWN].contains(of)
}

fn unexpected(what: &str, of: &Type) -> Box<dyn Error + Sync + Send> {
    format!("{what} where the server expects {of}").into()
}

/// A value of a column.
pub(super) struct Received(pub(super) Value);

impl<'r> FromSql<'r> for Received {
    fn from_sql(of: &Type, raw: &'r [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(match *of {
            Type::INT8 => Value::Integer(i64::from_sql(of, raw)?),
            Type::INT4 => Value::Integer(i32::from_sql(of, raw)?.into()),
            Type::INT2 => Value::Integer(i16::from_sql(of, raw)?.into()),
            Type::BOOL => Value::Integer(bool::from_sql(of, raw)?.into()),
            Type::NUMERIC => Value::Integer(whole_number(raw)?),
            Type::FLOAT8 => Value::Real(f64::from_sql(of, raw)?),
            Type::BYTEA => Value::Blob(raw.to_vec()),
            _ if is_text(of) => Value::Text(std::str::from_utf8(raw)?.to_owned()),
            _ => return Err(format!("a column of the type {of}").into()),
        }))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(Value::Null))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// A sum of integers: four numbers of 16 bits (count, weight, sign, scale), then digits of base 10,000.
fn whole_number(raw: &[u8]) -> Result<i64, Box<dyn Error + Sync + Send>> {
    let words: Vec<i64> =
        raw.chunks_exact(2).map(|pair| i64::from(i16::from_be_bytes([pair[0], pair[1]]))).collect();
    let [count, weight, sign, _, digits @ ..] = words.as_slice() else { return Err("a short number".into()) };
    let is_whole = *sign == 0 || *sign == 0x4000;
    if !is_whole || *count > weight + 1 || usize::try_from(*count) != Ok(digits.len()) {
        return Err("a number that is not whole".into());
    }
    let mut number: i64 = 0;
    for place in 0..if *count == 0 { 0 } else { weight + 1 } {
        let digit = usize::try_from(place).ok().and_then(|place| digits.get(place)).copied().unwrap_or(0);
        let next = number.checked_mul(10_000).and_then(|number| number.checked_add(digit));
        number = next.ok_or("a number of more than 64 bits")?;
    }
    Ok(if *sign == 0 { number } else { -number })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_is_read_as_a_whole_number() {
        let raw = |words: &[i16]| -> Vec<u8> { words.iter().flat_map(|word| word.to_be_bytes()).collect() };
        for (words, number) in [
            (&[0, 0, 0, 0][..], 0),
            (&[1, 0, 0, 0, 7], 7),
            (&[1, 1, 0, 0, 3], 30_000),
            (&[2, 1, 0x4000, 0, 1, 2345], -12_345),
            (&[4, 3, 0, 0, 1, 7000, 0, 1], 1_700_000_000_001),
        ] {
            assert_eq!(whole_number(&raw(words)).unwrap(), number, "{words:?}");
        }
        assert!(whole_number(&raw(&[1, -1, 0, 4, 5000])).is_err(), "a half is not whole");
        assert!(whole_number(&raw(&[5, 4, 0, 0, 9999, 9999, 9999, 9999, 9999])).is_err(), "it has 64 bits");
    }
}
