//! Time: now, and sleep. Real, fast, or virtual under a paused tokio runtime. Nothing else reads a clock.
//!
//! Real time runs on `CLOCK_BOOTTIME` from when the clock is created: a change of the wall clock does not affect it, and the
//! time that a laptop is suspended counts. The wall clock is read once, at the start. For rehearsals the clock can run faster.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use crate::domain::UnixMillis;

/// Gives the time and sleeps. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Clock {
    started_at: UnixMillis,
    source: TimeSource,
    /// The id of the boot, and the time from the boot until the clock was created.
    boot: Option<(Arc<str>, i64)>,
}

#[derive(Clone, Debug)]
enum TimeSource {
    BootTime { started: Duration },
    Fast { started: Duration, speed: u32 },
    Tokio { started: tokio::time::Instant },
    Still,
}

impl Clock {
    /// Real time, starting at the wall clock's now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the only place that reads a clock")]
    pub fn real() -> Self {
        let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let started = boot_time();
        let boot = boot_id().map(|id| (id, millis(started)));
        Self { started_at: UnixMillis(0).plus(wall), source: TimeSource::BootTime { started }, boot }
    }

    /// Real time that passes `speed` times as fast.
    #[must_use]
    pub fn fast(speed: u32) -> Self {
        let real = Self::real();
        Self { source: TimeSource::Fast { started: boot_time(), speed: speed.max(1) }, boot: None, ..real }
    }

    /// Real time, made to pass `speed` times as fast since `origin`: processes that agree on both agree on the time.
    #[must_use]
    pub fn fast_since(origin: UnixMillis, speed: u32) -> Self {
        let clock = Self::fast(speed);
        let elapsed_ms = clock.started_at.since_ms(origin).max(0);
        Self { started_at: origin.plus_ms(elapsed_ms.saturating_mul(i64::from(clock.speed()))), ..clock }
    }

    /// Time as the tokio runtime has it, starting at `started_at`: virtual when the runtime is paused.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the only place that reads a clock")]
    pub fn of_runtime(started_at: UnixMillis) -> Self {
        Self { started_at, source: TimeSource::Tokio { started: tokio::time::Instant::now() }, boot: None }
    }

    /// The same clock, with the id of the boot and the time since it.
    #[must_use]
    pub fn with_boot(self, id: &str, since_ms: i64) -> Self {
        Self { boot: Some((Arc::from(id), since_ms - millis(self.elapsed()))), ..self }
    }

    /// A clock that stands still: for a mock of the service between two runs.
    #[must_use]
    pub const fn still(at: UnixMillis) -> Self {
        Self { started_at: at, source: TimeSource::Still, boot: None }
    }

    /// The same clock, moved forward so that it is not before `latest`: a wall clock that was set back between two runs must not
    /// open a quota window twice.
    #[must_use]
    pub fn not_before(mut self, latest: UnixMillis) -> Self {
        let behind_ms = latest.since_ms(self.now()).max(0);
        self.started_at = self.started_at.plus_ms(behind_ms);
        self
    }

    /// The current time.
    #[must_use]
    pub fn now(&self) -> UnixMillis {
        self.started_at.plus(self.elapsed())
    }

    /// Now, in microseconds since the Unix epoch.
    #[must_use]
    pub fn now_us(&self) -> i64 {
        let elapsed_us = i64::try_from(self.elapsed().as_micros()).unwrap_or(i64::MAX);
        self.started_at.0.saturating_mul(1_000).saturating_add(elapsed_us)
    }

    /// How long this clock has run. Never goes back.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        match &self.source {
            TimeSource::BootTime { started } => boot_time().saturating_sub(*started),
            TimeSource::Fast { started, speed } => boot_time().saturating_sub(*started) * *speed,
            TimeSource::Tokio { started } => started.elapsed(),
            TimeSource::Still => Duration::ZERO,
        }
    }

    /// The id of the boot, and the milliseconds since it, which no user can set. `None`: the system does not state it.
    #[must_use]
    pub fn boot(&self) -> Option<(&str, i64)> {
        let (id, made_ms) = self.boot.as_ref()?;
        Some((id, made_ms + millis(self.elapsed())))
    }

    /// The granularity of its timers in milliseconds; zero where time is virtual.
    #[must_use]
    pub fn tick_ms(&self) -> i64 {
        match &self.source {
            TimeSource::BootTime { .. } => 1,
            TimeSource::Fast { speed, .. } => i64::from(*speed),
            TimeSource::Tokio { .. } | TimeSource::Still => 0,
        }
    }

    /// How much faster than the real one this clock runs.
    #[must_use]
    pub const fn speed(&self) -> u32 {
        match &self.source {
            TimeSource::Fast { speed, .. } => *speed,
            TimeSource::BootTime { .. } | TimeSource::Tokio { .. } | TimeSource::Still => 1,
        }
    }

    /// Sleeps for `duration`.
    #[expect(clippy::disallowed_methods, reason = "this is the only place that reads a clock")]
    pub async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration / self.speed()).await;
    }

    /// Sleeps for `duration` to a tenth of a millisecond or so, where time is real. The runtime's timers tick in
    /// milliseconds, so the last two are slept on a thread.
    pub async fn sleep_us(&self, duration: Duration) {
        /// How late a timer of the runtime may be.
        const TICK_MAX: Duration = Duration::from_millis(2);
        let TimeSource::BootTime { .. } = self.source else { return self.sleep(duration).await };
        let until = boot_time() + duration;
        if duration > TICK_MAX {
            self.sleep(duration.saturating_sub(TICK_MAX)).await;
        }
        let rest = until.saturating_sub(boot_time());
        if !rest.is_zero() {
            #[expect(clippy::disallowed_methods, reason = "this is the place where time enters")]
            let _ = tokio::task::spawn_blocking(move || std::thread::sleep(rest)).await;
        }
    }

    /// Sleeps until `timestamp`; returns at once if it has passed. If the machine is suspended, it sleeps at most [`NAP_MAX`]
    /// longer.
    pub async fn sleep_until(&self, timestamp: UnixMillis) {
        loop {
            let duration = timestamp.after_now(self.now());
            if duration.is_zero() {
                return;
            }
            self.sleep(duration.min(NAP_MAX * self.speed())).await;
        }
    }
}

/// Timers stop while a machine is suspended, so long waits read the clock again this often.
pub const NAP_MAX: Duration = Duration::from_secs(30);

/// Linux: the id of this boot.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Read once: it does not change while a process lives.
fn boot_id() -> Option<Arc<str>> {
    static ID: OnceLock<Option<Arc<str>>> = OnceLock::new();
    ID.get_or_init(|| std::fs::read_to_string(BOOT_ID).ok().map(|id| Arc::from(id.trim()))).clone()
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn boot_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn virtual_time_passes_only_by_sleeping() {
        let clock = Clock::of_runtime(UnixMillis(1_000));
        assert_eq!(clock.now(), UnixMillis(1_000));
        clock.sleep_until(UnixMillis(7_201_000)).await;
        assert_eq!(clock.now(), UnixMillis(7_201_000));
        clock.sleep_until(UnixMillis(5)).await;
        assert_eq!(clock.now(), UnixMillis(7_201_000));
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_was_set_back_is_moved_forward_to_the_last_known_time() {
        let clock = Clock::of_runtime(UnixMillis(1_000));
        assert_eq!(clock.clone().not_before(UnixMillis(9_000)).now(), UnixMillis(9_000));
        assert_eq!(clock.not_before(UnixMillis(500)).now(), UnixMillis(1_000));
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_since_boot_does_not_depend_on_the_wall_clock() {
        let clock = Clock::of_runtime(UnixMillis(5_000_000)).with_boot("first", 70_000);
        clock.sleep(Duration::from_secs(3)).await;
        assert_eq!(clock.boot(), Some(("first", 73_000)));
        assert_eq!(clock.not_before(UnixMillis(9_000_000)).boot(), Some(("first", 73_000)));
    }

    #[test]
    fn fast_clocks_of_one_origin_agree() {
        let origin = Clock::real().now();
        let clock = Clock::fast_since(origin, 1_000);
        while Clock::real().now().since_ms(origin) < 20 {}
        let clock_made_later = Clock::fast_since(origin, 1_000);
        let (before, now, after) = (clock.now(), clock_made_later.now(), clock.now());
        // a clock is exact to a few milliseconds of real time
        assert!(before.plus_ms(-3_000) <= now && now <= after.plus_ms(3_000), "{before} {now} {after}");
        assert!(now.since_ms(origin) >= 17_000);
    }

    #[test]
    fn real_time_does_not_stand_still_and_is_after_2020() {
        let clock = Clock::real();
        assert!(clock.now() > UnixMillis(1_577_836_800_000));
        assert!(clock.elapsed() <= clock.elapsed());
    }
}
