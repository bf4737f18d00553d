//! The table of a run of benchmarks.

use std::fmt;

/// What a ratio should be.
#[derive(Clone, Copy)]
pub(super) enum Target {
    AtLeast(f64),
    AtMost(f64),
    /// The figure itself, where nothing is compared.
    FigureAtMost(f64),
    /// There is none: the figure is for information.
    None,
}

/// One line of the table.
pub(super) struct Row {
    pub(super) what: String,
    pub(super) unit: &'static str,
    pub(super) figure: f64,
    /// What telecine is compared with, and its figure.
    pub(super) yardstick: Option<(String, f64)>,
    pub(super) target: Target,
}

#[derive(Default)]
pub(super) struct Table {
    rows: Vec<Row>,
    notes: Vec<String>,
}

impl Table {
    pub(super) fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// A figure that is compared with nothing.
    pub(super) fn figure(
        &mut self,
        what: impl Into<String>,
        unit: &'static str,
        figure: f64,
        target: Target,
    ) {
        self.add(Row { what: what.into(), unit, figure, yardstick: None, target });
    }

    /// What was left out, and ranges.
    pub(super) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }
}

/// Three digits that count, and thousands separated.
fn shown(figure: f64) -> String {
    match figure.abs() {
        100.0.. => {
            let digits = format!("{figure:.0}");
            let mut text = String::new();
            for (at, digit) in digits.chars().enumerate() {
                if at > 0 && (digits.len() - at).is_multiple_of(3) {
                    text.push(',');
                }
                text.push(digit);
            }
            text
        }
        10.0.. => format!("{figure:.1}"),
        1.0.. => format!("{figure:.2}"),
        _ => format!("{figure:.3}"),
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| what | telecine | yardstick | ratio | target |")?;
        writeln!(f, "|---|---|---|---|---|")?;
        for Row { what, unit, figure, yardstick, target } in &self.rows {
            let ratio = yardstick.as_ref().map(|(_, other)| figure / other);
            let (wish, is_met) = match *target {
                Target::AtLeast(least) => (format!("≥ {}", shown(least)), ratio.is_none_or(|it| it >= least)),
                Target::AtMost(most) => (format!("≤ {}", shown(most)), ratio.is_none_or(|it| it <= most)),
                Target::FigureAtMost(most) => (format!("≤ {} {unit}", shown(most)), *figure <= most),
                Target::None => (String::new(), true),
            };
            let missed = if is_met { "" } else { ", missed" };
            let other = yardstick.as_ref().map(|(name, other)| format!("{name}: {} {unit}", shown(*other)));
            let (other, ratio) = (other.unwrap_or_default(), ratio.map(shown).unwrap_or_default());
            writeln!(f, "| {what} | {} {unit} | {other} | {ratio} | {wish}{missed} |", shown(*figure))?;
        }
        for note in &self.notes {
            writeln!(f, "\n{note}")?;
        }
        Ok(())
    }
}
