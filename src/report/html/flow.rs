//! The flow chart: what came in, and what became of it. The width of a band is its count.

use maud::{Markup, html};

use super::{charts::share, text::percent};
use crate::{
    domain::RowCounts,
    report::{RunReport, summary::Counts, text::with_separators},
};

/// The height of all rows together, in units of the drawing.
const FULL: f64 = 190.0;
/// The height that a label needs.
const LABEL: f64 = 27.0;
/// Where the columns begin, and how wide they are.
const COLUMNS: [f64; 3] = [0.0, 112.0, 232.0];
const WIDTH: f64 = 8.0;
/// Where the nodes begin: below the labels of the first two columns.
const TOP: f64 = 30.0;

/// What the chart shows.
pub(super) struct FlowCounts<'a> {
    pub(super) rows: &'a RowCounts,
    pub(super) items: &'a Counts,
    /// Items that a later run has read again.
    pub(super) seen_later: u64,
    /// Whether the items are those of the whole ledger: the run read no manifest.
    pub(super) is_of_ledger: bool,
}

impl<'a> FlowCounts<'a> {
    /// The counts of a past run.
    pub(super) const fn of(report: &'a RunReport) -> Self {
        let (seen_later, is_of_ledger) = (report.seen_later, report.is_of_ledger);
        Self { rows: report.rows(), items: &report.items, seen_later, is_of_ledger }
    }
}

/// A group of rows or videos.
#[derive(Clone, Copy, Debug)]
struct FlowNode {
    name: &'static str,
    class: &'static str,
    count: u64,
}

const fn node(name: &'static str, class: &'static str, count: u64) -> FlowNode {
    FlowNode { name, class, count }
}

/// The states of the items, the good ones first. The names are those of `State::label`, as far as there is room for them.
fn outcomes(counts: &FlowCounts<'_>) -> Vec<FlowNode> {
    let items = counts.items;
    let all = [
        node("searchable", "good", items.indexed),
        node("being indexed", "move", items.accepted),
        node("sending (in flight)", "move", items.sending),
        node("pending (to be sent)", "wait", items.pending),
        node("in doubt", "doubt", items.in_doubt),
        node("video number unknown", "doubt", items.accepted_unidentified),
        node("need your decision", "doubt", items.needs_review),
        node("failed (not indexed)", "bad", items.failed),
        node("rejected by service", "bad", items.rejected),
        node("given up", "off", items.abandoned),
        node("deleted by undo", "off", items.deleted),
        node("read by a later run", "off", counts.seen_later),
    ];
    all.into_iter().filter(|node| node.count > 0).collect()
}

/// The rows that do not become items.
fn left_out(counts: &FlowCounts<'_>) -> Vec<FlowNode> {
    let rows = counts.rows;
    let all = [node("duplicates", "off", rows.duplicates), node("invalid", "bad", rows.invalid)];
    all.into_iter().filter(|node| node.count > 0 && !counts.is_of_ledger).collect()
}

/// A node with its place.
struct PlacedNode {
    node: FlowNode,
    y: f64,
    height: f64,
}

/// The chart and its table.
pub(super) fn flow(counts: &FlowCounts<'_>) -> Markup {
    let outcomes = outcomes(counts);
    let left_out = left_out(counts);
    let videos: u64 = outcomes.iter().map(|node| node.count).sum();
    let total = videos + left_out.iter().map(|node| node.count).sum::<u64>();
    let source = if counts.is_of_ledger { "videos in the ledger" } else { "rows read" };
    html! {
        figure {
            (drawing(counts.is_of_ledger, source, total, videos, &left_out, &outcomes))
            table {
                caption { "What became of the " (source) }
                thead { tr {
                    th scope="col" { "Outcome" } th.number scope="col" { "Count" } th.number scope="col" { "Share" }
                } }
                tbody {
                    @for node in left_out.iter().chain(&outcomes) {
                        tr {
                            th scope="row" { (node.name) }
                            td.number { (with_separators(node.count)) }
                            td.number { (percent(node.count, total)) }
                        }
                    }
                    tr {
                        th scope="row" { (source) }
                        td.number { (with_separators(total)) }
                        td.number { (percent(total, total)) }
                    }
                }
            }
        }
    }
}

/// Places nodes below each other, each with room for its label.
fn placed(nodes: &[FlowNode], from: f64, total: u64) -> Vec<PlacedNode> {
    let mut y = from;
    let place = |node: &FlowNode| {
        let height = share(node.count, total, FULL).max(1.0);
        let placed = PlacedNode { node: *node, y, height };
        y += height.max(LABEL) + 4.0;
        placed
    };
    nodes.iter().map(place).collect()
}

fn drawing(
    is_of_ledger: bool,
    source: &str,
    total: u64,
    videos: u64,
    left_out: &[FlowNode],
    outcomes: &[FlowNode],
) -> Markup {
    let videos_height = share(videos, total, FULL).max(1.0);
    let last = placed(outcomes, TOP, total);
    let middle = placed(left_out, TOP + videos_height.max(LABEL) + 8.0, total);
    let bottom =
        last.iter().chain(&middle).map(|node| node.y + node.height.max(LABEL)).fold(TOP + FULL, f64::max);
    let from = if is_of_ledger { COLUMNS[0] } else { COLUMNS[1] };
    html! {
        svg.flow viewBox=(format!("0 0 360 {}", bottom.ceil())) role="img" aria-labelledby="flow-title" {
            title id="flow-title" { "The flow of the " (source) " to their outcomes; the table below has the numbers" }
            @if !is_of_ledger {
                (bands(COLUMNS[0], COLUMNS[1], &[placed_video(videos, videos_height)], &middle))
            }
            (bands(from, COLUMNS[2], &last, &[]))
            rect.move x="0" y=(TOP) width=(WIDTH) height=(FULL) {}
            (label(COLUMNS[0], 10.0, total, source))
            @if !is_of_ledger && videos > 0 {
                rect.move x=(COLUMNS[1]) y=(TOP) width=(WIDTH) height=(videos_height) {}
                (label(COLUMNS[1], 10.0, videos, "videos"))
            }
            @for node in &middle { (node_with_label(COLUMNS[1], node)) }
            @for node in &last { (node_with_label(COLUMNS[2], node)) }
        }
    }
}

const fn placed_video(videos: u64, height: f64) -> PlacedNode {
    PlacedNode { node: node("videos", "move", videos), y: TOP, height }
}

/// Bands from one column, where they are without gaps, to nodes of another.
fn bands(from: f64, to: f64, first: &[PlacedNode], then: &[PlacedNode]) -> Markup {
    let (left, right) = (from + WIDTH, to);
    let middle = f64::midpoint(left, right);
    let mut y = TOP;
    let paths = first.iter().chain(then).filter(|placed| placed.node.count > 0).map(|placed| {
        let (height, end) = (placed.height, placed.y);
        let path = format!(
            "M{left} {y:.1}C{middle} {y:.1} {middle} {end:.1} {right} {end:.1}v{height:.1}\
             C{middle} {0:.1} {middle} {1:.1} {left} {1:.1}z",
            end + height,
            y + height
        );
        y += height;
        (placed.node.class, path)
    });
    html! { @for (class, path) in paths { path class=(format!("band {class}")) d=(path) {} } }
}

fn node_with_label(x: f64, placed: &PlacedNode) -> Markup {
    html! {
        rect class=(placed.node.class) x=(x) y=(format!("{:.1}", placed.y)) width=(WIDTH) height=(placed.height) {}
        (label(x + WIDTH + 4.0, placed.y + 9.0, placed.node.count, placed.node.name))
    }
}

fn label(x: f64, y: f64, count: u64, name: &str) -> Markup {
    html! {
        text x=(x) y=(format!("{y:.1}")) {
            tspan.count { (with_separators(count)) }
            tspan x=(x) dy="12" { (name) }
        }
    }
}
