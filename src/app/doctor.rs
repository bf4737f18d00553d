//! Looks whether an import could run here: the key, the service, the clocks, the ledger, the disk and the limits.

use std::path::Path;

use super::{adoption::AskedService, destination::AskError, limits::limiter_with, orders};
use crate::{
    api::{ApiClient, ListPage, ReadError, http::HttpTransport},
    clock::Clock,
    domain::counted,
    error::{Error, ExitCode},
    ledger::{ExternalUsage, LedgerError, LedgerPlace, NO_SERVICE, Order, Snapshot},
    quota::{Endpoint, Priority},
    report::{stop_reason, with_separators},
};

/// A clock that differs by more is worth a warning: answers are dated, and signed links expire, by the clock.
const CLOCK_DIFFERENCE_MAX_MS: i64 = 30_000;
/// Less free space is worth a warning: a ledger of a million rows takes about a gigabyte.
const DISK_FREE_WARNING: u64 = 1 << 30;
/// With less, an import would not send anything.
const DISK_FREE_MIN: u64 = 32 << 20;
/// The namespace that is listed.
const NAMESPACE: &str = "default";

/// Whether it is right, worth a look, or an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckLevel {
    Ok,
    Warning,
    Error,
}

/// One thing that was looked at.
#[derive(Clone, Debug, serde::Serialize, schemars::JsonSchema)]
pub struct SetupCheck {
    /// `key`, `service`, `clock`, `ledger`, `disk`, `limits`, `proxy` or `settings`.
    pub name: &'static str,
    pub level: CheckLevel,
    /// What was found, as a sentence.
    pub found: String,
    /// What to do about it. `null`: nothing.
    pub next_step: Option<String>,
    /// The exit code of an import that meets this.
    #[serde(skip)]
    pub code: ExitCode,
}

impl SetupCheck {
    /// Nothing is to be done.
    pub fn ok(name: &'static str, found: impl Into<String>) -> Self {
        let (found, code) = (found.into(), ExitCode::Success);
        Self { name, level: CheckLevel::Ok, found, next_step: None, code }
    }

    fn warning(name: &'static str, found: impl Into<String>, next_step: &str) -> Self {
        Self { level: CheckLevel::Warning, next_step: Some(next_step.to_owned()), ..Self::ok(name, found) }
    }

    fn error(name: &'static str, code: ExitCode, found: impl Into<String>, next_step: &str) -> Self {
        let next_step = Some(next_step.to_owned());
        Self { level: CheckLevel::Error, next_step, code, ..Self::ok(name, found) }
    }

    fn of_error(name: &'static str, error: &Error) -> Self {
        let code = error.exit_code();
        Self::error(name, code, error.chain(), code.next_step())
    }
}

/// Looks at the ledger, its disk and the limits, and makes one read of the service. Uploads nothing.
pub async fn look(service: Result<AskedService, Error>, ledger: &LedgerPlace) -> Vec<SetupCheck> {
    let (check, snapshot) = of_ledger(ledger);
    let mut checks = vec![check, of_disk(ledger)];
    let service = match service {
        Ok(service) => service,
        Err(error) => {
            checks.push(if let Error::Key { cause, advice } = &error {
                SetupCheck::error("key", ExitCode::Fatal, cause, advice)
            } else {
                SetupCheck::of_error("service", &error)
            });
            return checks;
        }
    };
    match service.limits.resolve_for(snapshot.as_ref()) {
        Ok(limits) => {
            let text = format!("uploads leave at {}", limits.upload_text());
            checks.push(SetupCheck::ok("limits", text));
        }
        Err(error) => checks.push(SetupCheck::of_error("limits", &error)),
    }
    if let Some(snapshot) = &snapshot {
        checks.extend(of_owner(snapshot, &service.destination.name()));
    }
    let clock = service.destination.clock();
    let path = snapshot.is_some().then_some(ledger);
    let name = service.destination.name();
    match read_once(&service, path, &clock).await {
        Ok(page) => {
            let count = page.total_count.unwrap_or(page.videos.len() as u64);
            let videos = counted(count, "video", "videos");
            checks.push(SetupCheck::ok("key", format!("{name} accepts the key ({videos} in {NAMESPACE})")));
            checks.extend(of_clock(&page, &clock));
        }
        Err(AskError::Read(error)) => checks.push(of_read_error(&name, &error)),
        Err(AskError::Own(error)) => checks.push(SetupCheck::of_error("service", &error)),
    }
    checks
}

/// Lists one page. The request counts in the ledger, if there is one.
async fn read_once(
    service: &AskedService,
    ledger: Option<&LedgerPlace>,
    clock: &Clock,
) -> Result<ListPage, AskError> {
    // the sandbox keeps its state beside a ledger
    let nowhere = Path::new("doctor.db").into();
    let beside = ledger.unwrap_or(&nowhere);
    let (origin, _sandbox) = service.destination.connect(beside, clock).await?;
    let api = ApiClient::new(HttpTransport::patient(&origin, &service.key, service.request_timeout)?);
    let snapshot = ledger.map(Snapshot::open).transpose()?;
    let limits = service.limits.resolve_for(snapshot.as_ref())?;
    let limiter = limiter_with(snapshot.as_ref(), limits, clock)?;
    let permit = limiter.permit(Priority::Poll).await;
    if let Some(path) = ledger {
        let at = limiter.now();
        let endpoint = Endpoint::List.as_str().to_owned();
        orders::give(path, Order::Count { usage: ExternalUsage { endpoint, at, count: 1, note: None } })
            .await?;
    }
    limiter.depart_read(&permit).await;
    Ok(api.list_page(permit, NAMESPACE, 1).await?)
}

fn of_read_error(service: &str, error: &ReadError) -> SetupCheck {
    let found = format!("{service}: {error}");
    match error {
        ReadError::StopRun { reason, .. } => {
            let (what, next) = stop_reason(*reason);
            SetupCheck::error("key", ExitCode::Fatal, format!("{what} ({found})"), next)
        }
        ReadError::RefusedForNow { .. } => {
            SetupCheck::warning("key", found, "the key was not refused; try again in some minutes")
        }
        ReadError::NotSent { .. } | ReadError::Unclear { .. } => {
            let next = "check the network of this machine, --api-url and the proxy, then try again";
            SetupCheck::error("service", ExitCode::Fatal, found, next)
        }
    }
}

fn of_clock(page: &ListPage, clock: &Clock) -> Option<SetupCheck> {
    let by_ms = clock.now().since_ms(page.served_at?);
    let seconds = by_ms.abs() / 1000;
    if by_ms.abs() <= CLOCK_DIFFERENCE_MAX_MS {
        return Some(SetupCheck::ok(
            "clock",
            format!("it differs from the service's by {seconds} s at most"),
        ));
    }
    let direction = if by_ms > 0 { "ahead of" } else { "behind" };
    let found = format!("the clock of this machine is {seconds} s {direction} the service's");
    Some(SetupCheck::warning("clock", found, "synchronise it: timedatectl set-ntp true"))
}

fn of_ledger(path: &LedgerPlace) -> (SetupCheck, Option<Snapshot>) {
    let shown = path;
    if !path.may_exist() {
        let found = format!("{shown} does not exist yet; the first import makes it");
        return (SetupCheck::ok("ledger", found), None);
    }
    let opened = Snapshot::open(path).and_then(|snapshot| {
        Ok((snapshot.contradictions()?, snapshot.state_counts()?.total(), snapshot.origin()?, snapshot))
    });
    match opened {
        Err(LedgerError::Missing { .. }) => {
            let found = format!("there is no ledger at {shown} yet; the first import makes it");
            (SetupCheck::ok("ledger", found), None)
        }
        Ok((0, items, origin, snapshot)) => {
            let items = counted(items, "item", "items");
            let check = snapshot.why_unused(path).map_or_else(
                || SetupCheck::ok("ledger", format!("{shown} opens: {items}, of {origin}")),
                |why| SetupCheck::of_error("ledger", &Error::Ledger(why)),
            );
            (check, Some(snapshot))
        }
        Ok((count, ..)) => {
            let items = counted(count, "item contradicts its attempts", "items contradict their attempts");
            let found = format!("{shown}: {items}");
            (
                SetupCheck::error("ledger", ExitCode::Usage, found, "telecine ledger check shows all of it"),
                None,
            )
        }
        Err(error) => (SetupCheck::of_error("ledger", &Error::Ledger(error)), None),
    }
}

/// A ledger of another service: an import would refuse it.
fn of_owner(snapshot: &Snapshot, ours: &str) -> Option<SetupCheck> {
    let theirs = match snapshot.origin() {
        Ok(theirs) => theirs,
        Err(error) => return Some(SetupCheck::of_error("ledger", &Error::Ledger(error))),
    };
    let is_ours = theirs == ours || theirs == NO_SERVICE;
    let found = format!("the ledger belongs to {theirs}, not to {ours}");
    let next = "give each service a ledger of its own: --ledger";
    (!is_ours).then(|| SetupCheck::error("ledger", ExitCode::Usage, found, next))
}

fn of_disk(ledger: &LedgerPlace) -> SetupCheck {
    let nearest = ledger.folder().ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("."));
    let free = rustix::fs::statvfs(nearest).map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize));
    let Ok(free) = free else { return SetupCheck::ok("disk", "its free space is not known") };
    let found = format!("{} MiB are free for the ledger", with_separators(free >> 20));
    if free < DISK_FREE_MIN {
        SetupCheck::error(
            "disk",
            ExitCode::Usage,
            found,
            "free some space; imports send nothing below 32 MiB",
        )
    } else if free < DISK_FREE_WARNING {
        SetupCheck::warning("disk", found, "a ledger of a million rows takes about 1 GiB: free some space")
    } else {
        SetupCheck::ok("disk", found)
    }
}
