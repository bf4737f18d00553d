//! The numbers of runs, manifests, items and requests.

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)+) => { $(
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
        )]
        pub struct $name(pub(in crate::ledger) i64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    )+ };
}

ids! {
    /// One run of the program on this ledger.
    RunId;
    /// One manifest, known by its absolute path.
    ManifestId;
    /// One item.
    ItemId;
    /// One request for an item.
    AttemptId;
}

impl ItemId {
    /// The item with this number, as `review` prints it. The item may not exist.
    #[must_use]
    pub const fn numbered(number: i64) -> Self {
        Self(number)
    }

    /// The number, as an open question prints it.
    #[must_use]
    pub const fn number(self) -> i64 {
        self.0
    }
}

impl AttemptId {
    /// The number of the request in the rate limiter.
    #[must_use]
    pub const fn number(self) -> i64 {
        self.0
    }
}

#[cfg(test)]
impl AttemptId {
    /// An id of a request that no ledger holds.
    pub(crate) const fn for_tests(number: i64) -> Self {
        Self(number)
    }
}
