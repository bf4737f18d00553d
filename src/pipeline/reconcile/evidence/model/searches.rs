//! What is searched, and that nothing wrong is found.

use std::{collections::HashSet, hash::BuildHasherDefault, thread::JoinHandle, time::Duration};

use super::{ModelWorld, Search, world_key::KeyHasher};
use crate::pipeline::reconcile::evidence::{OnDoubt, ReconcileRules, TagsShown};

/// Searches every world that can follow; the number of worlds, or the first wrong decision.
fn search(search: &Search) -> Result<usize, String> {
    let mut seen: HashSet<u64, BuildHasherDefault<KeyHasher>> = HashSet::default();
    seen.insert(ModelWorld::begin().key());
    let mut open = vec![ModelWorld::begin()];
    let mut next = Vec::new();
    while let Some(world) = open.pop() {
        world.next(search, &mut next)?;
        for world in next.drain(..) {
            if seen.insert(world.key()) {
                open.push(world);
            }
        }
    }
    Ok(seen.len())
}

fn rules(on_doubt: OnDoubt, quiet_steps: u64) -> ReconcileRules {
    ReconcileRules { quiet: Duration::from_mins(10 * quiet_steps), on_doubt }
}

/// Searches in a thread of its own.
fn begun(whole: Search) -> JoinHandle<Result<usize, String>> {
    std::thread::spawn(move || search(&whole))
}

/// The worlds that were searched in all.
#[track_caller]
fn worlds(searches: impl IntoIterator<Item = Search>) -> usize {
    // all of them begin before the first one is waited for
    let threads: Vec<_> = searches.into_iter().map(begun).collect();
    threads.into_iter().map(|thread| thread.join().unwrap().unwrap_or_else(|wrong| panic!("{wrong}"))).sum()
}

#[test]
fn no_history_of_two_rows_leads_the_rules_to_a_wrong_conclusion() {
    // asking concludes less than holding: a subset of these histories
    let all = [OnDoubt::Hold, OnDoubt::Auto]
        .map(|on_doubt| [true, false].map(|has_marker| Search::of(rules(on_doubt, 2), has_marker, 3)));
    let worlds = worlds(all.into_iter().flatten());
    assert!(worlds > 500_000, "only {worlds} worlds were searched");
}

#[test]
fn no_call_late_early_repeated_or_with_the_number_of_another_request_leads_to_a_wrong_conclusion() {
    // with videos of other clients there are many more histories, so fewer steps of them
    let all = [(OnDoubt::Auto, true, 3), (OnDoubt::Auto, false, 2), (OnDoubt::Hold, true, 1)];
    let worlds = worlds(all.map(|(on_doubt, has_marker, steps)| Search {
        has_calls: true,
        steps,
        ..Search::of(rules(on_doubt, 2), has_marker, 2)
    }));
    assert!(worlds > 300_000, "only {worlds} worlds were searched");
}

#[test]
fn without_the_quiet_time_the_search_finds_a_row_that_would_be_paid_twice() {
    let short = Search::of(rules(OnDoubt::Hold, 0), true, 3);
    assert!(search(&short).unwrap_err().contains("Absent"));
}

#[test]
fn a_service_that_changes_tags_leads_the_rules_to_no_wrong_conclusion() {
    let all = [OnDoubt::Hold, OnDoubt::Auto].map(|on_doubt| {
        [true, false]
            .map(|has_marker| Search { changes_tags: true, ..Search::of(rules(on_doubt, 2), has_marker, 2) })
    });
    let all: Vec<Search> = all.into_iter().flatten().collect();
    let told = [TagsShown::Changed, TagsShown::Unknown]
        .into_iter()
        .flat_map(|tags_shown| all.iter().map(move |known| Search { tags_shown, ..*known }));
    let worlds = worlds(told);
    assert!(worlds > 100_000, "only {worlds} worlds were searched");
    for known in &all {
        assert!(search(known).is_err(), "if other tags prove something, a row is paid twice");
    }
}
