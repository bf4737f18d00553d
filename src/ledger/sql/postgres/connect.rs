//! Connects to a database, and checks that it keeps what it commits.

use std::{
    future::poll_fn,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio_postgres::{AsyncMessage, Connection, NoTls, Socket, tls::TlsStream};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{DatabaseAddress, error};
use crate::ledger::LedgerError;

/// How long to wait for a connection that can be used: a server that is stopped accepts it, and says nothing.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// The oldest version of the server.
const VERSION_MIN: i32 = 13;

/// A client whose connection is served by a task of the runtime.
pub(super) struct Client {
    inner: tokio_postgres::Client,
    warnings: Arc<Mutex<Vec<String>>>,
    backend: Backend,
}

/// The process of the server that serves a connection.
#[derive(Clone)]
pub(super) struct Backend {
    pid: i32,
    started_at: String,
}

impl Client {
    pub(super) const fn inner(&self) -> &tokio_postgres::Client {
        &self.inner
    }

    pub(super) fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    /// The first warning since the last call.
    pub(super) fn take_warning(&self) -> Option<String> {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        warnings.drain(..).next()
    }

    pub(super) const fn backend(&self) -> &Backend {
        &self.backend
    }

    pub(super) fn into_backend(self) -> Backend {
        self.backend
    }
}

/// Connects, ends the process of the server that served the connection `before`, and checks the settings.
pub(super) async fn connect(
    address: &DatabaseAddress,
    before: Option<&Backend>,
) -> Result<Client, LedgerError> {
    let connected = async {
        let (inner, warnings) = dial(address).await?;
        let backend = check(&inner, address, before).await?;
        Ok(Client { inner, warnings, backend })
    };
    #[expect(clippy::disallowed_methods, reason = "nothing was sent that changes anything")]
    let connected = tokio::time::timeout(CONNECT_MAX, connected).await;
    connected
        .unwrap_or_else(|_| Err(LedgerError::ConnectionLost { cause: format!("{address} does not answer") }))
}

/// Whether the server still works on a statement of a connection from which no answer comes. It is asked on another connection.
/// False as well if the server only waits to send what it found, and if it cannot be asked.
pub(super) async fn is_working(address: &DatabaseAddress, backend: &Backend) -> bool {
    let asked = async {
        let (client, _) = dial(address).await.ok()?;
        let sql = "SELECT 1 FROM pg_stat_activity WHERE pid = $1 AND backend_start::text = $2 AND state = 'active' \
                   AND wait_event_type IS DISTINCT FROM 'Client'";
        client.query_opt(sql, &[&backend.pid, &backend.started_at]).await.ok()?
    };
    #[expect(clippy::disallowed_methods, reason = "nothing was sent that changes anything")]
    let asked = tokio::time::timeout(CONNECT_MAX, asked).await;
    matches!(asked, Ok(Some(_)))
}

/// A client, and the warnings of the server.
async fn dial(
    address: &DatabaseAddress,
) -> Result<(tokio_postgres::Client, Arc<Mutex<Vec<String>>>), LedgerError> {
    let failed = |cause: &tokio_postgres::Error| error::of_connect(cause, address);
    let (config, warnings) = (address.config()?, Arc::default());
    let client = match address.tls()? {
        None => {
            let (client, connection) = config.connect(NoTls).await.map_err(|cause| failed(&cause))?;
            serve(connection, &warnings);
            client
        }
        Some(tls) => {
            let tls = MakeRustlsConnect::new(tls);
            let (client, connection) = config.connect(tls).await.map_err(|cause| failed(&cause))?;
            serve(connection, &warnings);
            client
        }
    };
    Ok((client, warnings))
}

/// Reads from the connection until it is closed, and keeps the warnings of the server.
fn serve<T: TlsStream + Unpin + Send + 'static>(
    mut connection: Connection<Socket, T>,
    warnings: &Arc<Mutex<Vec<String>>>,
) {
    let warnings = Arc::clone(warnings);
    tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
            let AsyncMessage::Notice(notice) = message else { continue };
            if notice.severity() == "WARNING" {
                warnings.lock().unwrap_or_else(PoisonError::into_inner).push(notice.message().to_owned());
            }
        }
    });
}

async fn check(
    client: &tokio_postgres::Client,
    address: &DatabaseAddress,
    before: Option<&Backend>,
) -> Result<Backend, LedgerError> {
    let failed = |cause: tokio_postgres::Error| error::of(&cause, address);
    let unusable = |cause: String| LedgerError::Database { place: address.to_string(), cause };
    if let Some(before) = before {
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1 AND backend_start::text = $2";
        client.query(end, &[&before.pid, &before.started_at]).await.map_err(failed)?;
    }
    let sql = "SELECT current_setting('server_version_num')::int, current_setting('fsync'), \
               current_setting('synchronous_commit'), pg_backend_pid(), \
               (SELECT backend_start::text FROM pg_stat_activity WHERE pid = pg_backend_pid()), \
               pg_is_in_recovery()";
    let row = client.query_one(sql, &[]).await.map_err(failed)?;
    let (version, fsync, synchronous): (i32, String, String) = (row.get(0), row.get(1), row.get(2));
    if version / 10_000 < VERSION_MIN {
        return Err(unusable(format!(
            "it is PostgreSQL {}, and telecine needs {VERSION_MIN} or later",
            version / 10_000
        )));
    }
    if fsync != "on" {
        let cause =
            "fsync is off, so a power cut loses what was committed; set fsync = on in postgresql.conf";
        return Err(unusable(cause.to_owned()));
    }
    let is_writable = !row.get::<_, bool>(5);
    if is_writable && matches!(synchronous.as_str(), "off" | "local") {
        client.batch_execute("SET synchronous_commit = on").await.map_err(failed)?;
    }
    let path = format!("SET search_path TO {}", address.quoted_schema());
    client.batch_execute(&path).await.map_err(failed)?;
    Ok(Backend { pid: row.get(3), started_at: row.get(4) })
}
