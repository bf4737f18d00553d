//! How a file of cells is written, by what gives its rows the same number of cells.

use super::{
    super::{
        Format, Header, ManifestSpec,
        addresses::is_web_address,
        dialect::{Dialect, Quote},
        mapping::{Field, fits},
        table::{Ask, Table},
    },
    MOST,
};

/// This many records that may be the header are compared.
const HEADERS_MAX: usize = 10;
/// A header is on one of this many first lines.
const HEADER_LINES_MAX: u64 = 50;

/// The delimiter that cuts most rows into the same number of cells, and into the more the better: the first line may be no
/// row. `None`: the first line decides.
pub(super) fn delimiter_of(table: &Table, dialect: &Dialect) -> Option<u8> {
    let score = |delimiter: &u8| {
        let widths = widths(table, *delimiter, dialect);
        let most_common = *widths.get(widths.len() / 2)?;
        let share = share_of(&widths);
        (most_common > 1).then_some((share >= MOST as usize, most_common, share))
    };
    let found = b"\t;|,".iter().filter_map(|delimiter| Some((score(delimiter)?, *delimiter)));
    found
        .max_by_key(|(score, _)| *score)
        .filter(|((is_sure, ..), _)| *is_sure)
        .map(|(_, delimiter)| delimiter)
}

fn widths(table: &Table, delimiter: u8, dialect: &Dialect) -> Vec<usize> {
    let ask = Ask { format: Some(Format::Csv), header: Header::Absent, ..Ask::with_defaults("", dialect) };
    table.sample_cut_at(delimiter, &ask)
}

/// Rows of the most common width, in percent.
fn share_of(widths: &[usize]) -> usize {
    let Some(middle) = widths.get(widths.len() / 2) else { return 0 };
    widths.iter().filter(|width| *width == middle).count() * 100 / widths.len()
}

/// The quote and the escape that give more rows the same number of cells than those of the spec do. `None`: none does.
pub(super) fn quoting_of(table: &Table, spec: &ManifestSpec, dialect: &Dialect) -> Option<Dialect> {
    let delimiter = table.delimiter?;
    if spec.dialect.escape.is_some() || spec.dialect.quote != Quote::default() {
        return None;
    }
    let score = |dialect: &Dialect| {
        let widths = widths(table, delimiter, dialect);
        (share_of(&widths), widths.len())
    };
    let own = score(dialect);
    let others = [
        Dialect { escape: Some(b'\\'), ..dialect.clone() },
        Dialect { quote: Quote::Byte(b'\''), ..dialect.clone() },
        Dialect { quote: Quote::None, ..dialect.clone() },
    ];
    let is_better = |other: &Dialect| {
        let found = score(other);
        found.0 > own.0 || (found.0 == 100 && own.0 == 100 && found.1 > own.1 * 2)
    };
    let mut best: Vec<Dialect> = others.into_iter().filter(is_better).collect();
    // a backslash that nothing follows escapes nothing
    best.retain(|other| other.escape.is_none() || memchr::memmem::find(&table.head, b"\\\"").is_some());
    best.sort_by_key(|other| std::cmp::Reverse(score(other).0));
    best.into_iter().next()
}

/// Lines before the header: the first record that is as wide as most, and not nearly empty; or the one behind it that more fields are
/// recognised by, because merged cells or titles are above it.
pub(super) fn lines_before(table: &Table) -> u64 {
    let rows = table.sample(Header::Absent);
    let filled = |cells: &[String]| cells.iter().filter(|cell| !cell.trim().is_empty()).count();
    let middle = |mut counts: Vec<usize>| {
        counts.sort_unstable();
        counts.get(counts.len() / 2).copied().unwrap_or(0)
    };
    let width = middle(rows.iter().map(|(_, cells)| cells.len()).collect());
    let filled_most = middle(rows.iter().map(|(_, cells)| filled(cells)).collect());
    let is_row = |cells: &[String]| cells.len() == width && filled(cells) * 2 >= filled_most;
    let has_address = |cells: &[String]| cells.iter().any(|cell| is_web_address(cell.trim()));
    let recognised = |cells: &[String]| {
        Field::all().filter(|field| cells.iter().any(|cell| fits(*field, cell.trim()))).count()
    };
    let candidates = rows.iter().filter(|(_, cells)| is_row(cells));
    let candidates = candidates.take_while(|(_, cells)| !has_address(cells)).take(HEADERS_MAX);
    let candidates: Vec<_> = candidates.collect();
    // of equals the first
    let best = candidates.into_iter().rev().max_by_key(|(_, cells)| recognised(cells));
    let first = best.or_else(|| rows.iter().find(|(_, cells)| is_row(cells)));
    first.map_or(0, |(line, _)| line - 1).min(HEADER_LINES_MAX)
}
