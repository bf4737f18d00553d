//! The map of capture places: an outline of the continents, without tiles, and a dot per cell with videos.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::text::percent;
use crate::report::{
    captures::{Captures, PlaceCell},
    text::{counted, with_separators},
};

/// Land in whole degrees, simplified from Natural Earth (public domain) by `tests/browser/coastline.mjs`.
const COASTLINE: &str = include_str!("coastline.path");
/// Cells listed below the map.
const LISTED_MAX: usize = 10;

/// Dots are drawn in these classes: the smallest count of each, its name in the style, and its meaning.
const CLASSES: [(u64, &str, &str); 4] = [
    (1, "one", "1 to 9 videos"),
    (10, "tens", "10 to 99"),
    (100, "hundreds", "100 to 999"),
    (1_000, "thousands", "1,000 and more"),
];

/// The map, its key, and the cells with the most videos.
pub(super) fn map(captures: &Captures) -> Markup {
    let mut cells: Vec<PlaceCell> = captures.cells().collect();
    cells.sort_by_key(|cell| std::cmp::Reverse(cell.videos));
    html! {
        figure {
            svg.map viewBox="0 0 360 180" role="img" aria-labelledby="map-title" {
                title id="map-title" {
                    (counted(captures.with_place, "video", "videos")) " on a map of the world; the table below lists the places "
                    "with the most"
                }
                path.land d=(COASTLINE.trim()) {}
                path.grid d="M0 30h360M0 60h360M0 90h360M0 120h360M0 150h360M60 0v180M120 0v180M180 0v180M240 0v180M300 0v180" {}
                @for (class, path) in dots(&cells) { path class=(format!("places {class}")) d=(path) {} }
            }
            ul.keys {
                @for (_, class, meaning) in CLASSES {
                    li {
                        svg.key viewBox="0 0 32 12" aria-hidden="true" {
                            g transform="scale(2)" { path class=(format!("places {class}")) d="M8 3h.01" {} }
                        }
                        (meaning)
                    }
                }
            }
        }
        (largest(&cells, captures.with_place))
    }
}

/// One path of dots per class: a line of no length with round ends is a dot.
fn dots(cells: &[PlaceCell]) -> Vec<(&'static str, String)> {
    let path_of = |at: usize| {
        let least = CLASSES[at].0;
        let below = CLASSES.get(at + 1).map_or(u64::MAX, |class| class.0);
        let mut path = String::new();
        for cell in cells.iter().filter(|cell| (least..below).contains(&cell.videos)) {
            let (x, y) = (cell.longitude + 180.0, 90.0 - cell.latitude);
            let _ = write!(path, "M{x:.1} {y:.1}h0");
        }
        path
    };
    let all = (0..CLASSES.len()).map(|at| (CLASSES[at].1, path_of(at)));
    all.filter(|(_, path)| !path.is_empty()).collect()
}

fn largest(cells: &[PlaceCell], total: u64) -> Markup {
    html! {
        table {
            caption {
                "The places with the most videos, in cells of 2.5 degrees"
                @if cells.len() > LISTED_MAX {
                    " (" (LISTED_MAX) " of " (with_separators(cells.len() as u64)) " cells)"
                }
            }
            thead { tr {
                th scope="col" { "Around" } th.number scope="col" { "Videos" } th.number scope="col" { "Share" }
            } }
            tbody {
                @for cell in cells.iter().take(LISTED_MAX) {
                    tr {
                        th scope="row" { (degrees(cell.latitude, "N", "S")) ", " (degrees(cell.longitude, "E", "W")) }
                        td.number { (with_separators(cell.videos)) }
                        td.number { (percent(cell.videos, total)) }
                    }
                }
            }
        }
    }
}

fn degrees(value: f64, positive: &str, negative: &str) -> String {
    format!("{:.1}° {}", value.abs(), if value < 0.0 { negative } else { positive })
}
