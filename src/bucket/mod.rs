//! Objects in buckets: signs links to them, so that the service can fetch them from a plain https address; reads them where it
//! cannot; and lists them.
//!
//! - **Two steps.** [`Sources::prepare`] obtains credentials, which may take time and may fail, before anything is claimed.
//!   [`Sources::sign`] only computes: a link's life begins when its request leaves.
//! - **Secret.** A signed link exists in the request that carries it or is made with it, and nowhere else.

mod azure;
mod credentials_command;
mod endpoint;
mod google;
mod http;
mod list;
mod page;
mod profile;
mod read;
mod refusal;
mod s3;
mod v4;
mod xml;

use std::{
    borrow::Cow,
    collections::BTreeMap,
    ffi::OsString,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};

use crate::{
    blocking,
    clock::Clock,
    domain::{
        BucketPrefix, LINK_LIFE_MIN, ObjectAddress, ObjectStorage, SourceUrl, StorageAccount, UnixMillis,
        format_duration,
    },
};
use azure::AzureSigner;
use google::GoogleSigner;
use http::StorageClient;
pub use list::{BucketLister, ListError};
pub use read::{ObjectFault, ObjectReader};
use s3::S3Signer;

/// Credentials are obtained again this long before they expire: a link lives no longer than its credentials, and the service
/// may fetch a video some time after it accepted it.
const REFRESH_BEFORE: Duration = Duration::from_mins(15);
/// But not more often than this. A command may keep what it prints until the last minutes.
const REFRESH_INTERVAL_MIN: Duration = Duration::from_mins(1);

/// How long a request for a page of a listing is valid: it is sent at once.
const REQUEST_LIFE: Duration = Duration::from_mins(15);

/// What may be in a link as it is (RFC 3986, unreserved).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// The same for a path.
const RESERVED_IN_PATH: &AsciiSet = &RESERVED.remove(b'/');

/// Variables of the environment. An empty one counts as unset.
type Variables = Arc<dyn Fn(&str) -> Option<OsString> + Send + Sync>;

/// Why no link can be signed, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SourceError(String);

/// How links are signed.
#[derive(Clone, Debug)]
pub struct LinkRules {
    /// How long a link can be used.
    pub life: Duration,
    /// A command that prints credentials of S3.
    pub credentials_command: Option<String>,
    /// Whether objects are read here, and not by the service: links must be real then, also for the sandbox.
    pub reads_objects: bool,
}

impl Default for LinkRules {
    /// The credentials of the variables, and a life of six hours: long enough for a queue at the service, and no longer than
    /// most temporary credentials live.
    fn default() -> Self {
        Self { life: Duration::from_hours(6), credentials_command: None, reads_objects: false }
    }
}

/// That links can be signed, and how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preparation {
    /// After this time, [`Sources::prepare`] must be called again.
    pub valid_for: Duration,
    /// What the user should know, said once.
    pub notice: Option<String>,
}

/// Signs links to the objects that a manifest names.
pub struct Sources {
    /// `None`: links are made up, for the sandbox, which fetches nothing.
    origin: Option<CredentialOrigin>,
    life: Duration,
    /// That of the machine: storages refuse links that are dated in the future.
    clock: Clock,
    signers: Mutex<BTreeMap<StorageAccount, PreparedSigner>>,
    /// Made with the first request.
    client: OnceLock<StorageClient>,
}

/// Where credentials come from.
#[derive(Clone)]
struct CredentialOrigin {
    variables: Variables,
    credentials_command: Option<String>,
}

#[derive(Clone)]
struct PreparedSigner {
    signer: Signer,
    until: UnixMillis,
    is_short_life_said: bool,
}

#[derive(Clone)]
enum Signer {
    S3(S3Signer),
    Google(Arc<GoogleSigner>),
    Azure(AzureSigner),
}

/// Which page of a listing is asked for.
struct PageAsk<'a> {
    prefix: &'a BucketPrefix,
    /// The token that the page before it ended with. `None`: the first page.
    token: Option<&'a str>,
    /// Whether keys are to be encoded in the answer, where the storage can do that.
    is_encoded: bool,
}

impl Signer {
    /// Reads files and runs commands.
    fn obtain(origin: &CredentialOrigin, account: &StorageAccount) -> Result<Self, SourceError> {
        let variables = &*origin.variables;
        let command = origin.credentials_command.as_deref();
        match account.storage {
            ObjectStorage::S3 => S3Signer::obtain(variables, command).map(Self::S3),
            ObjectStorage::Google => {
                GoogleSigner::obtain(variables).map(|signer| Self::Google(Arc::new(signer)))
            }
            ObjectStorage::Azure => AzureSigner::obtain(variables, &account.name).map(Self::Azure),
        }
    }

    /// When its credentials expire. `None`: they do not.
    fn expires_at(&self) -> Option<UnixMillis> {
        match self {
            Self::S3(signer) => signer.expires_at(),
            Self::Google(_) => None,
            Self::Azure(signer) => signer.expires_at(),
        }
    }

    fn sign(&self, object: &ObjectAddress<'_>, life: Duration, at: UnixMillis) -> Option<String> {
        match self {
            Self::S3(signer) => Some(signer.sign(object, life, at)),
            Self::Google(signer) => signer.sign(object, life, at),
            Self::Azure(signer) => Some(signer.sign(object, life, at)),
        }
    }

    fn list(&self, ask: &PageAsk<'_>, at: UnixMillis) -> Option<String> {
        match self {
            Self::S3(signer) => Some(signer.list(ask, at)),
            Self::Google(signer) => signer.list(ask, at),
            Self::Azure(signer) => Some(signer.list(ask, at)),
        }
    }
}

impl Sources {
    /// Signs with the credentials that the rules and these variables name.
    pub fn new(
        rules: LinkRules,
        variable: impl Fn(&str) -> Option<OsString> + Send + Sync + 'static,
        clock: Clock,
    ) -> Self {
        let variables: Variables = Arc::new(move |name| variable(name).filter(|value| !value.is_empty()));
        let origin = CredentialOrigin { variables, credentials_command: rules.credentials_command };
        let (signers, client) = (Mutex::default(), OnceLock::new());
        Self { origin: Some(origin), life: rules.life, clock, signers, client }
    }

    /// Makes up links for the sandbox, which fetches nothing: no credentials are needed.
    #[must_use]
    pub const fn made_up() -> Self {
        let clock = Clock::still(UnixMillis(0));
        let signers = Mutex::new(BTreeMap::new());
        Self { origin: None, life: LINK_LIFE_MIN, clock, signers, client: OnceLock::new() }
    }

    /// Obtains the credentials of an account, if it has none or they expire soon. If they cannot be obtained again, those that
    /// still live are used to their end.
    pub async fn prepare(&self, account: &StorageAccount) -> Result<Preparation, SourceError> {
        let Some(origin) = self.origin.clone() else {
            return Ok(Preparation { valid_for: Duration::MAX, notice: None });
        };
        let now = self.clock.now();
        let earlier = self.signers().get(account).cloned();
        if let Some(earlier) = earlier.as_ref().filter(|earlier| earlier.until > now) {
            return Ok(Preparation { valid_for: earlier.until.after_now(now), notice: None });
        }
        let own = account.clone();
        let obtained = blocking::run(move || Signer::obtain(&origin, &own))
            .await
            .map_err(|error| SourceError(format!("reading the credentials ended early: {error}")))?;
        let lives = |signer: &Signer| {
            signer.expires_at().is_none_or(|expires_at| expires_at > now.plus(LINK_LIFE_MIN))
        };
        let (signer, failure) = match (obtained, earlier.as_ref()) {
            (Err(error), Some(earlier)) if lives(&earlier.signer) => (earlier.signer.clone(), Some(error)),
            (obtained, _) => (obtained?, None),
        };
        if let Some(expires_at) = signer.expires_at().filter(|_| !lives(&signer)) {
            return Err(SourceError(format!(
                "the credentials for {account} addresses expire at {expires_at}, in less than {}",
                format_duration(LINK_LIFE_MIN)
            )));
        }
        let is_short = signer.expires_at().is_some_and(|expires_at| expires_at < now.plus(self.life));
        let was_said = earlier.as_ref().is_some_and(|earlier| earlier.is_short_life_said);
        let notice = match (failure, signer.expires_at()) {
            (Some(error), Some(expires_at)) => {
                Some(format!("{error}; the earlier credentials are used until {expires_at}"))
            }
            (None, Some(expires_at)) if is_short && !was_said => Some(format!(
                "the credentials for {account} addresses expire at {expires_at}, and links signed with them as well: before \
                 the time of --link-life. They are obtained again before"
            )),
            _ => None,
        };
        let until = signer.expires_at().map_or(UnixMillis(i64::MAX), |expires_at| {
            let refresh_at = expires_at.minus(REFRESH_BEFORE).max(now.plus(REFRESH_INTERVAL_MIN));
            refresh_at.min(expires_at.minus(LINK_LIFE_MIN))
        });
        let is_short_life_said = was_said || is_short;
        self.signers().insert(account.clone(), PreparedSigner { signer, until, is_short_life_said });
        Ok(Preparation { valid_for: until.after_now(now), notice })
    }

    /// A link to an object, whose life begins now. `None`: the account of the object is not prepared.
    #[must_use]
    pub fn sign(&self, object: &ObjectAddress<'_>) -> Option<SourceUrl> {
        let link = if self.origin.is_some() {
            let now = self.clock.now();
            let signers = self.signers();
            let prepared = signers.get(&object.owner())?;
            if prepared.signer.expires_at().is_some_and(|expires_at| expires_at <= now) {
                return None;
            }
            prepared.signer.sign(object, self.life, now)?
        } else {
            made_up(object)
        };
        SourceUrl::parse(&link).ok()
    }

    /// The link behind an address: itself, or a link to its object, signed now.
    pub async fn link<'a>(&self, url: &'a SourceUrl) -> Result<Cow<'a, SourceUrl>, SourceError> {
        let Some(object) = url.object() else { return Ok(Cow::Borrowed(url)) };
        self.prepare(&object.owner()).await?;
        let link = self.sign(&object);
        link.map(Cow::Owned).ok_or_else(|| SourceError(format!("no link to {url} can be signed")))
    }

    /// The region that requests are signed for, where a storage has regions.
    fn region(&self, account: &StorageAccount) -> Option<String> {
        match &self.signers().get(account)?.signer {
            Signer::S3(signer) => Some(signer.region.clone()),
            Signer::Google(_) | Signer::Azure(_) => None,
        }
    }

    /// The request for a page of a listing, signed now. `None`: the account is not prepared.
    fn list_request(&self, ask: &PageAsk<'_>) -> Option<String> {
        let signers = self.signers();
        signers.get(&ask.prefix.owner())?.signer.list(ask, self.clock.now())
    }

    fn client(&self) -> Result<&StorageClient, String> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = StorageClient::new()?;
        Ok(self.client.get_or_init(|| client))
    }

    fn signers(&self) -> MutexGuard<'_, BTreeMap<StorageAccount, PreparedSigner>> {
        self.signers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A link that looks like a signed one.
fn made_up(object: &ObjectAddress<'_>) -> String {
    let path = encoded_path(object.key);
    let bucket = object.bucket;
    match object.storage {
        ObjectStorage::S3 => format!("https://s3.amazonaws.com/{bucket}/{path}?X-Amz-Signature=sandbox"),
        ObjectStorage::Google => {
            format!("https://storage.googleapis.com/{bucket}/{path}?X-Goog-Signature=sandbox")
        }
        ObjectStorage::Azure => {
            format!("https://{}.blob.core.windows.net/{bucket}/{path}?sig=sandbox", object.account)
        }
    }
}

fn encoded_path(key: &str) -> String {
    percent_encoding::utf8_percent_encode(key, RESERVED_IN_PATH).to_string()
}

fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, RESERVED).to_string()
}

/// The text of a variable.
fn text(variables: &dyn Fn(&str) -> Option<OsString>, name: &str) -> Option<String> {
    variables(name)?.into_string().ok()
}

fn timestamp(at: UnixMillis) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(at.0).unwrap_or_default()
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key);
    ring::hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
}

#[cfg(test)]
mod tests;
