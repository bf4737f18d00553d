//! A modelled web: hosts, pages, and a log of the requests.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use telecine::{
    clock::Clock,
    domain::UnixMillis,
    probe::{FetchError, FetchRequest, FetchResponse, Fetcher, Method},
};

pub(super) const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

/// How long the modelled web takes to answer.
pub(super) const ANSWER: Duration = Duration::from_millis(300);

/// What a modelled host does with a path.
#[derive(Clone)]
pub(super) enum Page {
    /// A file, which can be read in parts.
    File(Vec<u8>),
    /// A file that can only be read whole.
    WholeOnly(Vec<u8>),
    /// A file whose stated size is larger than the bytes that exist.
    Large(u64, Vec<u8>),
    Status(u16),
    /// A file without a stated size.
    Endless(Vec<u8>),
    /// A host that always sends this part.
    Stubborn(u64, Vec<u8>),
    /// A file whose host does not take `HEAD`: it answers so, or not at all.
    NoHead(Option<u16>, Vec<u8>),
    /// Busy so often, then a file.
    Busy(Arc<AtomicUsize>, Vec<u8>),
    Redirect(&'static str),
    Silent,
    Private,
}

/// One request as it arrived.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    pub(super) at: UnixMillis,
    pub(super) host: String,
    pub(super) method: Method,
    pub(super) bytes: usize,
}

/// A modelled web: pages by their addresses, and a log.
#[derive(Clone)]
pub(super) struct Model {
    pages: Arc<HashMap<String, Page>>,
    pub(super) clock: Clock,
    log: Arc<Mutex<Vec<Arrival>>>,
    at_once: Arc<Mutex<HashMap<String, (usize, usize)>>>,
}

impl Model {
    pub(super) fn new(pages: &[(&str, Page)]) -> Self {
        let pages = pages.iter().map(|(address, page)| ((*address).to_owned(), page.clone())).collect();
        Self {
            pages: Arc::new(pages),
            clock: Clock::of_runtime(NOW),
            log: Arc::default(),
            at_once: Arc::default(),
        }
    }

    pub(super) fn arrivals(&self) -> Vec<Arrival> {
        self.log.lock().unwrap().clone()
    }

    /// The most requests that a host had at once.
    pub(super) fn most_at_once(&self, host: &str) -> usize {
        self.at_once.lock().unwrap().get(host).map_or(0, |(_, most)| *most)
    }

    fn count(&self, host: &str, change: isize) {
        let mut at_once = self.at_once.lock().unwrap();
        let (now, most) = at_once.entry(host.to_owned()).or_default();
        *now = now.checked_add_signed(change).unwrap();
        *most = (*most).max(*now);
    }

    fn answer(&self, ask: &FetchRequest) -> Result<FetchResponse, FetchError> {
        let page = self.pages.get(ask.url.as_str()).or_else(|| {
            let host = format!("{}://{}/*", ask.url.scheme(), ask.url.host_str()?);
            self.pages.get(&host)
        });
        let status = |status| Ok(FetchResponse { status, ..FetchResponse::default() });
        match page {
            None => status(404),
            Some(Page::Status(code)) => status(*code),
            Some(Page::Silent) => Err(FetchError::NoAnswer("no answer in time".to_owned())),
            Some(Page::Private) => Err(FetchError::Private),
            Some(Page::Redirect(to)) => Ok(FetchResponse {
                status: 302,
                location: Some((*to).to_owned()),
                ..FetchResponse::default()
            }),
            Some(Page::Busy(left, _)) if left.load(Ordering::Relaxed) > 0 => {
                left.fetch_sub(1, Ordering::Relaxed);
                Ok(FetchResponse {
                    status: 429,
                    retry_after: Some("20".to_owned()),
                    ..FetchResponse::default()
                })
            }
            Some(Page::NoHead(code, _)) if ask.method == Method::Head => match code {
                Some(code) => status(*code),
                None => Err(FetchError::NoAnswer("hung up".to_owned())),
            },
            Some(Page::File(bytes) | Page::Busy(_, bytes) | Page::NoHead(_, bytes)) => {
                Ok(part(ask, bytes, bytes.len() as u64))
            }
            Some(Page::Large(total, bytes)) => Ok(part(ask, bytes, *total)),
            Some(Page::Endless(bytes)) => {
                let body = if ask.method == Method::Get { bytes.clone() } else { Vec::new() };
                Ok(FetchResponse { status: 200, body, ..FetchResponse::default() })
            }
            Some(Page::Stubborn(at, bytes)) => {
                let content_range = Some(format!("bytes {at}-{}/9000", at + bytes.len() as u64 - 1));
                Ok(cut(
                    ask,
                    FetchResponse {
                        status: 206,
                        content_range,
                        body: bytes.clone(),
                        ..FetchResponse::default()
                    },
                ))
            }
            Some(Page::WholeOnly(bytes)) => {
                let body = if ask.method == Method::Get { bytes.clone() } else { Vec::new() };
                let content_length = Some(bytes.len() as u64);
                Ok(cut(ask, FetchResponse { status: 200, content_length, body, ..FetchResponse::default() }))
            }
        }
    }
}

fn part(ask: &FetchRequest, bytes: &[u8], total: u64) -> FetchResponse {
    let (Method::Get, Some((first, length))) = (ask.method, ask.range) else {
        return FetchResponse { status: 200, content_length: Some(total), ..FetchResponse::default() };
    };
    let from = usize::try_from(first).unwrap().min(bytes.len());
    let to = from.saturating_add(usize::try_from(length).unwrap()).min(bytes.len());
    if from >= bytes.len() {
        let content_range = Some(format!("bytes */{total}"));
        return FetchResponse { status: 416, content_range, is_whole: true, ..FetchResponse::default() };
    }
    let content_range = Some(format!("bytes {from}-{}/{total}", to - 1));
    cut(
        ask,
        FetchResponse {
            status: 206,
            content_range,
            body: bytes[from..to].to_vec(),
            ..FetchResponse::default()
        },
    )
}

fn cut(ask: &FetchRequest, mut got: FetchResponse) -> FetchResponse {
    got.is_whole = got.body.len() < ask.body_max;
    got.body.truncate(ask.body_max);
    got
}

impl Fetcher for Model {
    async fn exchange(&self, ask: FetchRequest) -> Result<FetchResponse, FetchError> {
        let host = ask.url.host_str().unwrap().to_owned();
        self.count(&host, 1);
        let at = self.clock.now();
        self.clock.sleep(ANSWER).await;
        self.count(&host, -1);
        let answer = self.answer(&ask);
        let bytes = answer.as_ref().map_or(0, |got| got.body.len());
        self.log.lock().unwrap().push(Arrival { at, host, method: ask.method, bytes });
        answer
    }
}
