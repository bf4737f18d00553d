//! How long the bodies of files take at a bandwidth.

use std::time::Duration;

/// Where uploads keep a longer distance, one file is sent at a time, and nothing beside it: several would end too close to each other, and a
/// request that is held back for long before its end is cut by servers.
pub(super) const PARALLEL_INTERVAL_MAX: Duration = Duration::from_millis(2_500);

/// The uploads of a plan with their files, at one or more rates. The rate limiter knows nothing of the time that a body takes.
#[derive(Clone, Debug, Default)]
pub struct Transfers {
    /// How many files there are.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// In bytes per second. `None`: it is not known.
    bandwidth: Option<u64>,
    /// The distance of uploads at each rate, and how long the uploads take one after the other.
    lanes: Vec<(Duration, Duration)>,
}

impl Transfers {
    /// No uploads yet. `intervals` are the distances of uploads at each rate.
    #[must_use]
    pub fn at(bandwidth: Option<u64>, intervals: Vec<Duration>) -> Self {
        let lanes = intervals.into_iter().map(|interval| (interval, Duration::ZERO)).collect();
        Self { bandwidth: bandwidth.filter(|bandwidth| *bandwidth > 0), lanes, ..Self::default() }
    }

    /// Adds an upload. `size` is that of its file; `None`: the service fetches the video.
    pub fn add(&mut self, size: Option<u64>) {
        let duration = size.map_or(Duration::ZERO, |size| self.duration_of(size));
        for (interval, total) in &mut self.lanes {
            *total = total.saturating_add(duration.max(*interval));
        }
        if let Some(size) = size {
            self.files += 1;
            self.bytes = self.bytes.saturating_add(size);
        }
    }

    /// How long all uploads take at the rate of this number, by their bodies. `None`: there are no files, or the bandwidth is not known.
    #[must_use]
    pub fn total(&self, rate: usize) -> Option<Duration> {
        self.bandwidth.filter(|_| self.files > 0)?;
        let (interval, one_by_one) = self.lanes.get(rate)?;
        // files beside each other share the bandwidth
        Some(if *interval > PARALLEL_INTERVAL_MAX { *one_by_one } else { self.duration_of(self.bytes) })
    }

    /// How long a file takes on average.
    #[must_use]
    pub fn mean(&self) -> Duration {
        self.bytes.checked_div(self.files).map_or(Duration::ZERO, |size| self.duration_of(size))
    }

    fn duration_of(&self, bytes: u64) -> Duration {
        self.bandwidth.map_or(Duration::ZERO, |bandwidth| {
            let milliseconds = u128::from(bytes) * 1_000 / u128::from(bandwidth);
            Duration::from_millis(u64::try_from(milliseconds).unwrap_or(u64::MAX))
        })
    }
}
