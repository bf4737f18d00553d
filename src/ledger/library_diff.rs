//! The result of a comparison of the library with the ledger.

use std::collections::HashSet;

use serde::Serialize;

use super::{BoundItem, ItemId, OtherMarker, VideoOwner};
use crate::domain::{SourceUrl, State, VideoNo};

/// One namespace, compared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LibraryDiff {
    /// The namespace.
    pub namespace: String,
    /// Videos the service lists there.
    pub listed: u64,
    /// Items of the ledger that are bound to a video.
    pub bound: u64,
    /// Videos that are bound to an item, and listed: the two sides agree.
    pub matched: u64,
    /// Videos that are bound to an item, and that the service shows by their number but does not list: the two sides agree.
    pub shown_singly: u64,
    /// Videos of others that the user named as such. They are no findings.
    pub allowed: u64,
    /// Another namespace that lists the same videos: the service ignores namespaces. `None`: none was seen.
    pub shared_with: Option<String>,
    /// What does not match, one by one.
    pub findings: Vec<DiffEntry>,
}

/// One finding of a comparison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DiffEntry {
    pub kind: DiffKind,
    /// The video, where there is one.
    pub video_no: Option<VideoNo>,
    /// The item's number in the ledger, where there is one.
    pub item: Option<i64>,
    /// The source, redacted.
    pub url: Option<String>,
    /// More about it, such as the cause of a failure.
    pub detail: Option<String>,
}

/// The kind of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DiffKind {
    /// The ledger has the video, the service does not.
    Missing,
    /// The service has a second video of an item: it was paid twice.
    Surplus,
    /// The service answered a request of an item as rejected, and has its video nevertheless.
    Rejected,
    /// The ledger has the video for one row, and it carries the marker of another row; or it carries the marker of a request for
    /// which the ledger has another video.
    OtherMarker,
    /// The video carries a marker of another ledger, or of a newer state of this one. With an item, its row is also in this
    /// ledger.
    Foreign,
    /// The video carries no marker: another client's, or sent without one.
    Unknown,
    /// The tags of the video are not visible yet.
    TagsHidden,
    /// A human gave the item up, or had it sent again, and the service has accepted the first request.
    ResolvedByReview,
    /// The item's outcome is open, and this is its video.
    Open,
    /// The service could not index the item's video.
    Failed,
    /// The ledger has the video as searchable, and the service shows it as failed.
    FailedLater,
    /// The ledger has the video as failed, and the service shows it as searchable.
    IndexedLater,
    /// The video was ordered to be deleted, and nothing proves yet that it is gone.
    DeletionOpen,
    /// The video was deleted by order, and the service lists it again.
    Undeleted,
}

impl DiffKind {
    /// Every kind, the most serious first.
    pub const ALL: &'static [Self] = &[
        Self::Missing,
        Self::Surplus,
        Self::Rejected,
        Self::OtherMarker,
        Self::Foreign,
        Self::Undeleted,
        Self::Unknown,
        Self::TagsHidden,
        Self::Open,
        Self::DeletionOpen,
        Self::ResolvedByReview,
        Self::FailedLater,
        Self::Failed,
        Self::IndexedLater,
    ];

    /// The name in CSV and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Surplus => "surplus",
            Self::Rejected => "rejected_but_present",
            Self::OtherMarker => "other_marker",
            Self::Foreign => "foreign",
            Self::Unknown => "unknown",
            Self::TagsHidden => "tags_hidden",
            Self::Open => "open",
            Self::ResolvedByReview => "resolved_by_review",
            Self::Failed => "failed",
            Self::FailedLater => "failed_later",
            Self::IndexedLater => "indexed_later",
            Self::DeletionOpen => "deletion_open",
            Self::Undeleted => "undeleted",
        }
    }

    /// The finding as a phrase.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Missing => "in the ledger, not at the service",
            Self::Surplus => "paid too: second video of an item",
            Self::Rejected => "at the service, after the answer to the request was a rejection",
            Self::OtherMarker => "of one row in the ledger, with the marker of another row or request",
            Self::Foreign => "sent by another ledger, or by a newer state of this one",
            Self::Unknown => "at the service without a marker: not sent by telecine, or without one",
            Self::TagsHidden => "at the service, tags not shown yet",
            Self::ResolvedByReview => "at the service, from a request that a human gave up or had sent again",
            Self::Open => {
                "at the service, of an item whose outcome is open: reconcile finds it, review shows it"
            }
            Self::Failed => "in both, failed (not indexed)",
            Self::FailedLater => "searchable in the ledger, failed at the service",
            Self::IndexedLater => {
                "failed in the ledger, searchable at the service: import with --retry-failed binds it, unpaid"
            }
            Self::DeletionOpen => "ordered to be deleted, not proven yet: run the same telecine undo again",
            Self::Undeleted => "at the service, though deleted by undo",
        }
    }
}

impl LibraryDiff {
    /// An empty comparison.
    #[must_use]
    pub fn of(namespace: &str) -> Self {
        Self { namespace: namespace.to_owned(), ..Self::default() }
    }

    /// How many findings of a kind there are.
    #[must_use]
    pub fn count(&self, kind: DiffKind) -> u64 {
        self.findings.iter().filter(|finding| finding.kind == kind).count() as u64
    }

    /// Takes the videos that others put here out of the findings: those of these numbers whose marker, or lack of one, says that
    /// this ledger did not send them.
    pub fn allow(&mut self, theirs: &HashSet<VideoNo>) {
        let before = self.findings.len();
        self.findings.retain(|finding| {
            let may_be_theirs =
                matches!(finding.kind, DiffKind::Foreign | DiffKind::Unknown | DiffKind::TagsHidden);
            !may_be_theirs || finding.video_no.as_ref().is_none_or(|number| !theirs.contains(number))
        });
        self.allowed += (before - self.findings.len()) as u64;
    }

    /// Adds a listed video and its owner.
    pub fn take_listed(&mut self, video_no: &VideoNo, owner: VideoOwner) {
        self.listed += 1;
        let (kind, item) = match owner {
            VideoOwner::Bound(_) => {
                self.matched += 1;
                return;
            }
            VideoOwner::Open(item) => (DiffKind::Open, Some(item)),
            VideoOwner::ResolvedByReview(item) => (DiffKind::ResolvedByReview, Some(item)),
            VideoOwner::Surplus(item) => (DiffKind::Surplus, Some(item)),
            VideoOwner::Rejected(item) => (DiffKind::Rejected, Some(item)),
            VideoOwner::Foreign(item) => (DiffKind::Foreign, item),
            VideoOwner::Unmarked => (DiffKind::Unknown, None),
            VideoOwner::TagsHidden => (DiffKind::TagsHidden, None),
        };
        self.find(kind, Some(video_no.clone()), item);
    }

    /// Adds a listed video that was taken as bound, and carries the marker of another row.
    pub fn take_other_marker(&mut self, other: &OtherMarker) {
        // it was counted when it was listed, and is nothing that both agree on
        self.matched = self.matched.saturating_sub(1);
        self.find(DiffKind::OtherMarker, Some(other.video_no.clone()), Some(other.item));
        if let Some(finding) = self.findings.last_mut() {
            finding.url = Some(other.url.to_string());
            finding.detail = Some(match other.names {
                Some(item) => format!("its marker names item {item}"),
                None => "its marker names a row that is not in this ledger".to_owned(),
            });
        }
    }

    /// Adds a listed video with the marker of a request of an item for which the ledger has another video.
    pub fn take_misbound(&mut self, video_no: &VideoNo, item: ItemId, bound: &VideoNo) {
        self.listed += 1;
        self.find(DiffKind::OtherMarker, Some(video_no.clone()), Some(item));
        if let Some(finding) = self.findings.last_mut() {
            finding.detail = Some(format!("its marker names the request for which the ledger has {bound}"));
        }
    }

    /// Adds an item that is bound to a video, and whether the service shows it.
    pub fn take_bound(&mut self, item: &BoundItem, result: ListingPresence) {
        let kind = match (result, item.state) {
            (ListingPresence::Missing, State::Deleted) => return,
            (_, State::Deleted) => DiffKind::Undeleted,
            (_, _) if item.is_deletion_ordered => DiffKind::DeletionOpen,
            (ListingPresence::Missing, _) => DiffKind::Missing,
            (ListingPresence::ListedFailed, State::Indexed) => DiffKind::FailedLater,
            (ListingPresence::ListedIndexed, State::Failed) => DiffKind::IndexedLater,
            (_, State::Failed) => DiffKind::Failed,
            (_, _) => {
                self.bound += 1;
                self.shown_singly += u64::from(result == ListingPresence::ShownSingly);
                return;
            }
        };
        if kind == DiffKind::Undeleted {
            // it was counted when it was listed, and is nothing that both agree on
            self.matched = self.matched.saturating_sub(1);
        } else {
            self.bound += 1;
        }
        self.find(kind, Some(item.video_no.clone()), Some(item.item));
        if let Some(finding) = self.findings.last_mut() {
            finding.url = SourceUrl::parse(&item.url).ok().map(|url| url.to_string());
            finding.detail.clone_from(&item.cause);
        }
    }

    fn find(&mut self, kind: DiffKind, video_no: Option<VideoNo>, item: Option<ItemId>) {
        let item = item.map(|item| item.0);
        self.findings.push(DiffEntry { kind, video_no, item, url: None, detail: None });
    }
}

/// Whether the service shows a video of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListingPresence {
    /// In the listing, not indexed yet.
    Listed,
    /// In the listing, as searchable.
    ListedIndexed,
    /// In the listing, as failed.
    ListedFailed,
    /// Not in the listing, but by its number.
    ShownSingly,
    /// In neither.
    Missing,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_this_ledger_did_not_send_can_be_allowed() {
        let number = VideoNo::parse("VI0001").unwrap();
        let theirs = HashSet::from([number.clone()]);
        for kind in DiffKind::ALL {
            let mut diff = LibraryDiff::of("default");
            diff.find(*kind, Some(number.clone()), None);
            diff.allow(&theirs);
            let is_theirs = matches!(kind, DiffKind::Foreign | DiffKind::Unknown | DiffKind::TagsHidden);
            assert_eq!(
                (diff.count(*kind), diff.allowed),
                if is_theirs { (0, 1) } else { (1, 0) },
                "{kind:?}"
            );
        }
    }
}
