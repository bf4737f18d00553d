//! A store that speaks the protocol of S3. The crate s3s parses requests, checks their signatures and writes the answers; the objects are
//! in memory.

use std::{
    collections::{BTreeSet, HashMap},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    net::SocketAddr,
    ops::Bound,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use s3s::{
    S3, S3Request, S3Response, S3Result,
    auth::{S3Auth, SecretKey},
    dto::{
        ETag, ETagCondition, GetObjectInput, GetObjectOutput, ListObjectsV2Input, ListObjectsV2Output,
        Object, StreamingBlob, Timestamp,
    },
    s3_error,
    service::{S3Service, S3ServiceBuilder},
};
use tokio::{net::TcpListener, runtime::Runtime};

use super::content;
use crate::program::words;

pub(super) const BUCKET: &str = "archive";
pub(super) const SECRET: &str = "a secret/of+the=store";
/// The first part of every token: a client that does not encode it is not understood.
const TOKEN: &str = "after/+= ";

/// What becomes of requests that a key signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Valid,
    Expired,
    /// Valid for so many requests, then revoked.
    Leaving(u64),
}

#[derive(Default)]
struct Shared {
    objects: BTreeSet<String>,
    /// By the id of a key.
    keys: Mutex<HashMap<String, Standing>>,
    pages: AtomicU64,
}

/// A store that listens on loopback until it is dropped.
pub(super) struct Store {
    shared: Arc<Shared>,
    address: SocketAddr,
    _runtime: Runtime,
}

impl Store {
    pub(super) fn start(objects: BTreeSet<String>) -> Result<Self, String> {
        let shared = Arc::new(Shared { objects, ..Shared::default() });
        let mut builder = S3ServiceBuilder::new(Served(Arc::clone(&shared)));
        builder.set_auth(Served(Arc::clone(&shared)));
        let service = builder.build();
        let runtime = Runtime::new().map_err(words)?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).map_err(words)?;
        let address = listener.local_addr().map_err(words)?;
        runtime.spawn(accept(listener, service));
        Ok(Self { shared, address, _runtime: runtime })
    }

    /// Its endpoint.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn objects(&self) -> &BTreeSet<String> {
        &self.shared.objects
    }

    /// A key is known from now on, and stands so.
    pub(super) fn set_key(&self, id: &str, standing: Standing) {
        self.shared.keys().insert(id.to_owned(), standing);
    }

    /// Pages that were listed.
    pub(super) fn pages(&self) -> u64 {
        self.shared.pages.load(Ordering::SeqCst)
    }
}

async fn accept(listener: TcpListener, service: S3Service) {
    while let Ok((stream, _)) = listener.accept().await {
        let service = service.clone();
        tokio::spawn(async move {
            // a client that goes away is no fault
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

impl Shared {
    fn keys(&self) -> MutexGuard<'_, HashMap<String, Standing>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The store as s3s asks it.
struct Served(Arc<Shared>);

#[async_trait::async_trait]
impl S3Auth for Served {
    async fn get_secret_key(&self, id: &str) -> S3Result<SecretKey> {
        let mut keys = self.0.keys();
        match keys.get_mut(id) {
            Some(Standing::Valid) => Ok(SECRET.into()),
            Some(Standing::Leaving(left)) if *left > 0 => {
                *left -= 1;
                Ok(SECRET.into())
            }
            Some(Standing::Expired) => Err(s3_error!(ExpiredToken)),
            Some(Standing::Leaving(_)) | None => Err(s3_error!(InvalidAccessKeyId)),
        }
    }
}

#[async_trait::async_trait]
impl S3 for Served {
    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let ask = request.input;
        if ask.bucket != BUCKET {
            return Err(s3_error!(NoSuchBucket));
        }
        if ask.encoding_type.is_some() || ask.delimiter.is_some() {
            return Err(s3_error!(NotImplemented));
        }
        self.0.pages.fetch_add(1, Ordering::SeqCst);
        let prefix = ask.prefix.unwrap_or_default();
        let from = match &ask.continuation_token {
            None => Bound::Included(prefix.as_str()),
            Some(token) => {
                Bound::Excluded(token.strip_prefix(TOKEN).ok_or_else(|| s3_error!(InvalidArgument))?)
            }
        };
        let size = usize::try_from(ask.max_keys.unwrap_or(1_000)).unwrap_or(0).min(1_000);
        let mut rest = self
            .0
            .objects
            .range::<str, _>((from, Bound::Unbounded))
            .take_while(|key| key.starts_with(&prefix));
        let contents: Vec<Object> = rest.by_ref().take(size).map(|key| listed(key)).collect();
        let last = contents.last().and_then(|object| object.key.clone());
        let next = last.filter(|_| rest.next().is_some()).map(|last| format!("{TOKEN}{last}"));
        Ok(S3Response::new(ListObjectsV2Output {
            key_count: i32::try_from(contents.len()).ok(),
            is_truncated: Some(next.is_some()),
            contents: Some(contents),
            next_continuation_token: next,
            prefix: Some(prefix),
            name: Some(ask.bucket),
            ..ListObjectsV2Output::default()
        }))
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let ask = request.input;
        if ask.bucket != BUCKET || !self.0.objects.contains(&*ask.key) {
            return Err(s3_error!(NoSuchKey));
        }
        let etag = etag_of(&ask.key);
        if let Some(ETagCondition::ETag(wanted)) = &ask.if_match
            && !wanted.strong_cmp(&etag)
        {
            return Err(s3_error!(PreconditionFailed));
        }
        let content = content(&ask.key);
        Ok(S3Response::new(GetObjectOutput {
            content_length: i64::try_from(content.len()).ok(),
            e_tag: Some(etag),
            body: Some(StreamingBlob::from(s3s::Body::from(content))),
            ..GetObjectOutput::default()
        }))
    }
}

fn etag_of(key: &str) -> ETag {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    ETag::Strong(format!("{:016x}", hasher.finish()))
}

fn listed(key: &str) -> Object {
    Object {
        key: Some(key.to_owned()),
        size: i64::try_from(content(key).len()).ok(),
        e_tag: Some(etag_of(key)),
        last_modified: Some(Timestamp::from(std::time::UNIX_EPOCH)),
        ..Object::default()
    }
}
