//! The charts: curves over time, columns, and tables with bars. Text is outside the drawings, so that it keeps its size.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::text::time;
use crate::report::{
    text::with_separators,
    timeline::{POINTS, TimeAxis},
};

/// Height of the drawings in their own units.
const HEIGHT: f64 = 100.0;
/// Rows of the table behind a curve.
const TABLE_ROWS: usize = 12;

/// A line of a chart over time.
pub(super) struct Curve {
    pub(super) name: &'static str,
    /// Its classes in the style: a colour, and a dash, so that lines differ without colour too.
    pub(super) class: &'static str,
    pub(super) values: Vec<f64>,
}

impl Curve {
    /// A line of counts.
    #[expect(clippy::cast_precision_loss, reason = "values of a drawing")]
    pub(super) fn of_counts(name: &'static str, class: &'static str, counts: &[u64]) -> Self {
        Self { name, class, values: counts.iter().map(|count| *count as f64).collect() }
    }
}

/// A chart of curves over time.
pub(super) struct TimeChart<'a> {
    /// The name of the chart in the page, for references.
    pub(super) id: &'a str,
    pub(super) title: &'a str,
    /// What a reader sees in it, in a sentence.
    pub(super) description: &'a str,
    pub(super) axis: &'a TimeAxis,
    pub(super) curves: &'a [Curve],
    /// A line across the chart.
    pub(super) ceiling: Option<f64>,
}

/// Draws curves over time, with a key and a table.
pub(super) fn time_chart(chart: &TimeChart<'_>) -> Markup {
    let values = chart.curves.iter().flat_map(|curve| &curve.values).chain(&chart.ceiling);
    let top = values.fold(0.0, |top: f64, value| top.max(*value)).max(1.0);
    // a ceiling at the very edge would be half hidden
    let top = if chart.ceiling.is_some() { top * 1.05 } else { top };
    let (title_id, about_id) = (format!("{}-title", chart.id), format!("{}-about", chart.id));
    html! {
        figure {
            ul.keys {
                @for curve in chart.curves {
                    li { (key(curve.class)) (curve.name) }
                }
                @if chart.ceiling.is_some() {
                    li { (key("bad dotted")) "limit" }
                }
            }
            div.ends { span { (amount(top_shown(chart, top))) } }
            svg.plot role="img" aria-labelledby=(format!("{title_id} {about_id}"))
                viewBox=(format!("0 0 {} {HEIGHT}", POINTS - 1)) preserveAspectRatio="none" {
                title id=(title_id) { (chart.title) }
                desc id=(about_id) { (chart.description) }
                @if let Some(ceiling) = chart.ceiling {
                    path.line.bad.dotted d=(path(&[ceiling; POINTS], top)) {}
                }
                @for curve in chart.curves {
                    path class=(format!("line {}", curve.class)) d=(path(&curve.values, top)) {}
                }
            }
            div.ends { span { (time(chart.axis.from)) } span { (time(chart.axis.until)) } }
            (curve_table(chart))
        }
    }
}

/// The value at the top of the chart, without the margin above a ceiling.
fn top_shown(chart: &TimeChart<'_>, top: f64) -> f64 {
    if chart.ceiling.is_some() { top / 1.05 } else { top }
}

/// The sample of a line beside its name.
fn key(class: &str) -> Markup {
    html! {
        svg.key viewBox="0 0 32 12" aria-hidden="true" { path class=(format!("line {class}")) d="M0 6h32" {} }
    }
}

/// A polyline. Points within a straight line are left out.
fn path(values: &[f64], top: f64) -> String {
    let heights: Vec<f64> =
        values.iter().map(|value| ((1.0 - value / top) * HEIGHT * 10.0).round() / 10.0).collect();
    let mut text = String::new();
    for (at, height) in heights.iter().enumerate() {
        let is_inner = at > 0 && at + 1 < heights.len();
        let slope = |a: usize, b: usize| heights[b] - heights[a];
        if is_inner && (slope(at - 1, at) - slope(at, at + 1)).abs() < f64::EPSILON {
            continue;
        }
        let mark = if text.is_empty() { 'M' } else { 'L' };
        let _ = write!(text, "{mark}{at} {height}");
    }
    text
}

fn curve_table(chart: &TimeChart<'_>) -> Markup {
    let rows = (1..=TABLE_ROWS).map(|row| row * POINTS / TABLE_ROWS - 1);
    html! {
        details {
            summary { "Numbers: " (chart.title) }
            div.scroll tabindex="0" role="region" aria-label=(format!("Numbers: {}", chart.title)) {
                table {
                    thead {
                        tr {
                            th scope="col" { "Until" }
                            @for curve in chart.curves { th.number scope="col" { (curve.name) } }
                        }
                    }
                    tbody {
                        @for row in rows {
                            tr {
                                th scope="row" { (time(chart.axis.end_of(row))) }
                                @for curve in chart.curves { td.number { (amount(curve.values[row])) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A value of a curve: a count, or an average with one decimal.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts, rounded for a reader")]
pub(super) fn amount(value: f64) -> String {
    if (value - value.round()).abs() < 0.05 {
        with_separators(value.round() as u64)
    } else {
        format!("{value:.1}")
    }
}

/// A row of a table with bars.
pub(super) struct Bar {
    pub(super) label: String,
    pub(super) count: u64,
}

/// A table whose last column is a chart.
pub(super) fn bar_table(caption: &str, label: &str, value: &str, class: &str, bars: &[Bar]) -> Markup {
    let most = bars.iter().map(|bar| bar.count).max().unwrap_or(0);
    html! {
        table {
            caption { (caption) }
            thead { tr {
                th scope="col" { (label) } th.number scope="col" { (value) } td.graph aria-hidden="true" {}
            } }
            tbody {
                @for bar in bars {
                    tr {
                        th scope="row" { (bar.label) }
                        td.number { (with_separators(bar.count)) }
                        td.graph aria-hidden="true" { (bar_of(bar.count, most, class)) }
                    }
                }
            }
        }
    }
}

pub(super) fn bar_of(count: u64, most: u64, class: &str) -> Markup {
    html! {
        svg.bar viewBox="0 0 100 10" preserveAspectRatio="none" {
            @if count > 0 { rect class=(class) width=(share(count, most, 100.0).max(0.7)) height="10" {} }
        }
    }
}

/// Columns side by side, the first and the last with their labels below.
pub(super) fn columns(id: &str, title: &str, bars: &[Bar]) -> Markup {
    let most = bars.iter().map(|bar| bar.count).max().unwrap_or(0);
    let first_and_last = bars.first().zip(bars.last());
    let mut path = String::new();
    for (at, bar) in bars.iter().enumerate().filter(|(_, bar)| bar.count > 0) {
        let height = share(bar.count, most, HEIGHT).max(1.0);
        let _ = write!(path, "M{at}.1 {HEIGHT}v-{height:.1}h.8v{height:.1}z");
    }
    html! {
        figure {
            div.ends { span { (with_separators(most)) } }
            svg.plot role="img" aria-labelledby=(id) viewBox=(format!("0 0 {} {HEIGHT}", bars.len().max(1)))
                preserveAspectRatio="none" {
                title id=(id) { (title) }
                path.move d=(path) {}
            }
            @if let Some((first, last)) = first_and_last {
                div.ends { span { (first.label) } @if bars.len() > 1 { span { (last.label) } } }
            }
        }
    }
}

/// A part of a whole, as a length.
#[expect(clippy::cast_precision_loss, reason = "lengths of a drawing")]
pub(super) fn share(part: u64, whole: u64, length: f64) -> f64 {
    if whole == 0 { 0.0 } else { (part as f64 / whole as f64 * length * 10.0).round() / 10.0 }
}
