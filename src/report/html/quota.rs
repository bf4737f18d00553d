//! The use of every quota window over time, and the longest waits.

use maud::{Markup, html};

use super::{
    charts::{Curve, TimeChart, amount, time_chart},
    text::time,
};
use crate::{
    domain::format_duration,
    report::{
        RunReport,
        text::counted,
        timeline::{Timeline, WindowUse},
    },
};

/// One chart per window, and a table of waits.
pub(super) fn quota(report: &RunReport) -> Markup {
    let timeline = &report.timeline;
    if report.requests.attempts == 0 {
        return html! { p.note { "This run sent no upload request." } };
    }
    html! {
        @if report.limits.is_none() {
            p.note { "The ledger does not know the limits of this run, so that no window can be shown." }
        }
        @for (at, window) in timeline.windows.iter().enumerate() { (window_chart(timeline, window, at)) }
        h3 { "Waits" }
        (waits(timeline))
        @if report.items.pending > 0 { (end_wait(timeline)) }
    }
}

fn window_chart(timeline: &Timeline, window: &WindowUse, at: usize) -> Markup {
    let used = window.used(&timeline.axis);
    let most = used.iter().copied().fold(0.0, f64::max);
    let average =
        if window.is_average(&timeline.axis) { ", on average over each part of the chart" } else { "" };
    let allowed =
        window.allowed.map_or_else(|| "an unknown number".to_owned(), |allowed| amount(f64::from(allowed)));
    let description =
        format!("At most {} of {allowed} {} in the window{average}", amount(most), window.counts);
    let title = format!("Limit {}: {} in the window, over time", window.limit, window.counts);
    let curves = [Curve { name: window.counts, class: "move", values: used }];
    let chart = TimeChart {
        id: &format!("window-{at}"),
        title: &title,
        description: &description,
        axis: &timeline.axis,
        curves: &curves,
        ceiling: window.allowed.map(f64::from),
    };
    html! {
        h3 { (window.limit) ", " (window.counts) }
        p { (description) "." }
        @if most > 0.0 { (time_chart(&chart)) }
    }
}

/// What the run waited for when it ended, while rows were left to send.
fn end_wait(timeline: &Timeline) -> Markup {
    let Some(wait) = &timeline.end_wait else { return html! {} };
    html! {
        p {
            "At its end the run had waited " (format_duration(wait.duration)) ", since " (time(wait.from)) ", and rows were left "
            "to send"
            @if let Some((cap, opens_at)) = &wait.cap {
                ": the cap " (cap) " was used up, until " (time(*opens_at))
            }
            "."
        }
    }
}

fn waits(timeline: &Timeline) -> Markup {
    if timeline.waits.is_empty() {
        return html! { p { "No two uploads of this run were much further apart than the rate asks for." } };
    }
    let count = timeline.waits.len() as u64;
    html! {
        p {
            "Waits that were longer than the rate asks for took " (format_duration(timeline.waited)) " in all. "
            "The table shows the " (counted(count, "longest one", "longest ones")) "."
        }
        table.stack {
            caption { "The longest waits between two uploads" }
            thead { tr { th scope="col" { "From" } th scope="col" { "Length" } th scope="col" { "Cause" } } }
            tbody {
                @for wait in &timeline.waits {
                    tr {
                        th scope="row" { (time(wait.from)) }
                        td data-label="Length" { (format_duration(wait.duration)) }
                        td data-label="Cause" { (wait.cause) }
                    }
                }
            }
        }
    }
}
