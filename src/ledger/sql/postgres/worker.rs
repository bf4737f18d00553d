//! The thread of a connection: it runs one request after the other, renews the lease between them, and connects again after the
//! connection was lost.

use std::{
    collections::{HashMap, VecDeque},
    pin::pin,
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use rusqlite::types::Value;
use tokio::runtime::Runtime;
use tokio_postgres::types::ToSql;

use super::{
    DatabaseAddress,
    cells::{Cells, Received, SentValue},
    connect::{self, Client},
    dialect, error,
};
use crate::ledger::LedgerError;

/// A lease is renewed this many times while it lasts.
const RENEWALS: u32 = 3;

/// Statements read by index, as in SQLite: a plan that was made for empty tables is kept, and would read all rows when there are
/// millions.
pub(super) const READS_BY_INDEX: &str = "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off; \
                                         SET enable_mergejoin = off; SET jit = off";

/// What the thread is asked for.
pub(super) enum DatabaseRequest {
    /// To connect, if there is no connection.
    Connect,
    /// A statement that is used again, in the words of the ledger.
    Run { sql: Arc<str>, values: Vec<Value> },
    /// A statement with its own name in it.
    Once { sql: String, values: Vec<Value> },
    /// A statement without values and rows.
    Batch(&'static str),
    /// Several statements without values and rows.
    Script(String),
    /// To renew the lease from now on.
    KeepLease(Renewal),
}

/// The statement that renews the lease.
pub(super) struct Renewal {
    pub(super) sql: Arc<str>,
    pub(super) values: Vec<Value>,
}

/// What a statement returned.
#[derive(Default)]
pub(super) struct DatabaseAnswer {
    pub(super) columns: Arc<[String]>,
    pub(super) rows: VecDeque<Cells>,
    /// Rows that were changed.
    pub(super) changed: u64,
    /// The first warning that the server gave with it.
    pub(super) warning: Option<String>,
}

type Reply = mpsc::SyncSender<Result<DatabaseAnswer, LedgerError>>;

/// The other end of the thread.
pub(super) struct Worker {
    requests: Option<mpsc::Sender<(DatabaseRequest, Reply)>>,
    thread: Option<JoinHandle<()>>,
    address: DatabaseAddress,
}

impl Worker {
    pub(super) fn start(address: DatabaseAddress) -> Result<Self, LedgerError> {
        let failed = |error: std::io::Error| LedgerError::Broken {
            cause: format!("the thread of the database client cannot be started: {error}"),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let (requests, received) = mpsc::channel();
        let own = address.clone();
        let session = move || Session::new(own, runtime).serve(&received);
        let thread =
            std::thread::Builder::new().name("database".to_owned()).spawn(session).map_err(failed)?;
        Ok(Self { requests: Some(requests), thread: Some(thread), address })
    }

    pub(super) const fn address(&self) -> &DatabaseAddress {
        &self.address
    }

    /// Asks the thread, and waits for its answer.
    pub(super) fn ask(&self, request: DatabaseRequest) -> Result<DatabaseAnswer, LedgerError> {
        let gone = || LedgerError::Broken { cause: "the thread of the database client ended".to_owned() };
        let (reply, answer) = mpsc::sync_channel(1);
        let requests = self.requests.as_ref().ok_or_else(gone)?;
        requests.send((request, reply)).map_err(|_| gone())?;
        answer.recv().map_err(|_| gone())?
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.requests.take());
        if let Some(thread) = self.thread.take() {
            // a panic of the thread was reported to whoever waited for an answer
            let _ = thread.join();
        }
    }
}

/// What the thread has.
struct Session {
    address: DatabaseAddress,
    runtime: Runtime,
    client: Option<Client>,
    /// The connection before this one, so that its transaction is ended before another one begins.
    before: Option<connect::Backend>,
    statements: HashMap<Arc<str>, tokio_postgres::Statement>,
    renewal: Option<Renewal>,
    is_in_transaction: bool,
}

impl Session {
    fn new(address: DatabaseAddress, runtime: Runtime) -> Self {
        Self {
            address,
            runtime,
            client: None,
            before: None,
            statements: HashMap::new(),
            renewal: None,
            is_in_transaction: false,
        }
    }

    fn serve(&mut self, requests: &mpsc::Receiver<(DatabaseRequest, Reply)>) {
        loop {
            let wait = self.renewal.as_ref().map_or(Duration::MAX, |_| self.address.lease() / RENEWALS);
            match requests.recv_timeout(wait) {
                Ok((request, reply)) => {
                    let answer = self.answer(request);
                    // the caller may be gone
                    let _ = reply.send(answer);
                }
                Err(mpsc::RecvTimeoutError::Timeout) => self.renew(),
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Renews the lease while nothing else does. A failure shows at the next transaction.
    fn renew(&mut self) {
        fail::fail_point!("lease_is_not_renewed", |_| ());
        let Some(renewal) = self.renewal.as_ref().filter(|_| !self.is_in_transaction) else { return };
        let (sql, values) = (Arc::clone(&renewal.sql), renewal.values.clone());
        if let Err(error) = self.answer(DatabaseRequest::Run { sql, values }) {
            tracing::debug!(%error, "the lease was not renewed");
        }
    }

    fn answer(&mut self, request: DatabaseRequest) -> Result<DatabaseAnswer, LedgerError> {
        if self.client.as_ref().is_some_and(Client::is_closed) {
            self.forget();
        }
        if self.client.is_none() {
            if self.is_in_transaction {
                self.is_in_transaction = false;
                let cause = "the transaction ended with it".to_owned();
                return Err(LedgerError::ConnectionLost { cause });
            }
            self.client = Some(self.connect()?);
            self.before = None;
            if self.renewal.is_some() {
                let is_set_up = self.set_up_writer();
                if is_set_up.is_err() {
                    self.forget();
                }
                is_set_up?;
            }
        }
        let (begins, ends) = match &request {
            DatabaseRequest::Batch(sql) => (sql.starts_with("BEGIN"), matches!(*sql, "COMMIT" | "ROLLBACK")),
            DatabaseRequest::Connect
            | DatabaseRequest::Run { .. }
            | DatabaseRequest::Once { .. }
            | DatabaseRequest::Script(_)
            | DatabaseRequest::KeepLease(_) => (false, false),
        };
        let answer = match request {
            DatabaseRequest::Connect => Ok(DatabaseAnswer::default()),
            DatabaseRequest::KeepLease(renewal) => {
                self.renewal = Some(renewal);
                self.set_up_writer()
            }
            DatabaseRequest::Run { .. }
            | DatabaseRequest::Once { .. }
            | DatabaseRequest::Batch(_)
            | DatabaseRequest::Script(_) => self.run(request),
        };
        let is_lost = matches!(answer, Err(LedgerError::ConnectionLost { .. }));
        if is_lost {
            self.forget();
        }
        self.is_in_transaction = (self.is_in_transaction || begins && answer.is_ok()) && !ends && !is_lost;
        answer
    }

    fn connect(&self) -> Result<Client, LedgerError> {
        self.runtime.block_on(connect::connect(&self.address, self.before.as_ref()))
    }

    /// What holds for a connection that writes.
    ///
    /// A transaction locks the row of the lease. The server ends it when this process, or the network, stops for longer than the
    /// lease lasts: otherwise nobody could take over.
    fn set_up_writer(&mut self) -> Result<DatabaseAnswer, LedgerError> {
        let ms = self.address.lease_ms();
        self.run(DatabaseRequest::Script(format!(
            "SET idle_in_transaction_session_timeout = {ms}; {READS_BY_INDEX}"
        )))
    }

    fn forget(&mut self) {
        self.before = self.client.take().map(Client::into_backend).or(self.before.take());
        self.statements.clear();
    }

    fn run(&mut self, request: DatabaseRequest) -> Result<DatabaseAnswer, LedgerError> {
        let Some(client) = &self.client else {
            return Err(LedgerError::ConnectionLost { cause: "there is none".to_owned() });
        };
        let statements = &mut self.statements;
        let work = async {
            match request {
                DatabaseRequest::Batch(sql) => {
                    client.inner().batch_execute(sql).await?;
                    Ok(DatabaseAnswer::default())
                }
                DatabaseRequest::Script(sql) => {
                    client.inner().batch_execute(&sql).await?;
                    Ok(DatabaseAnswer::default())
                }
                DatabaseRequest::Run { sql, values } => {
                    if !statements.contains_key(&sql) {
                        let statement = client.inner().prepare(&dialect::statement(&sql)).await?;
                        statements.insert(Arc::clone(&sql), statement);
                    }
                    read(client.inner(), &statements[&sql], &values).await
                }
                DatabaseRequest::Once { sql, values } => {
                    let statement = client.inner().prepare(&dialect::statement(&sql)).await?;
                    read(client.inner(), &statement, &values).await
                }
                DatabaseRequest::Connect | DatabaseRequest::KeepLease(_) => Ok(DatabaseAnswer::default()),
            }
        };
        // an answer that does not come is a lost connection: what became of the statement is read by another one
        let (answer_max, writes) = (self.address.lease(), self.renewal.is_some());
        let patient = async {
            let mut work = pin!(work);
            loop {
                #[expect(
                    clippy::disallowed_methods,
                    reason = "the connection is closed, so nothing is sent twice"
                )]
                let answer = tokio::time::timeout(answer_max, &mut work).await;
                // a statement that only reads may take longer than a lease
                if answer.is_ok() || writes || !connect::is_working(&self.address, client.backend()).await {
                    return answer;
                }
            }
        };
        let answer = self.runtime.block_on(patient);
        let warning = client.take_warning();
        match answer {
            Ok(Ok(answer)) => Ok(DatabaseAnswer { warning, ..answer }),
            Ok(Err(error)) => Err(error::of(&error, &self.address)),
            Err(_) => {
                Err(LedgerError::ConnectionLost { cause: format!("no answer in {} s", answer_max.as_secs()) })
            }
        }
    }
}

async fn read(
    client: &tokio_postgres::Client,
    statement: &tokio_postgres::Statement,
    values: &[Value],
) -> Result<DatabaseAnswer, tokio_postgres::Error> {
    let parameters: Vec<SentValue<'_>> = values.iter().map(SentValue).collect();
    let parameters: Vec<&(dyn ToSql + Sync)> = parameters.iter().map(|value| value as _).collect();
    if statement.columns().is_empty() {
        let changed = client.execute(statement, &parameters).await?;
        return Ok(DatabaseAnswer { changed, ..DatabaseAnswer::default() });
    }
    let columns = statement.columns().iter().map(|column| column.name().to_owned()).collect();
    let found = client.query(statement, &parameters).await?;
    let mut rows = VecDeque::with_capacity(found.len());
    for row in &found {
        let cells: Result<Cells, _> =
            (0..row.len()).map(|number| row.try_get(number).map(|Received(value)| value)).collect();
        rows.push_back(cells?);
    }
    Ok(DatabaseAnswer { columns, rows, changed: 0, warning: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::tests::database;

    #[test]
    fn a_read_that_takes_longer_than_a_lease_is_waited_for() {
        let Some(place) = database() else {
            println!("SKIPPED: there is no database for tests");
            return;
        };
        let address: DatabaseAddress = format!("{place}&lease=2s").parse().unwrap();
        let worker = Worker::start(address).unwrap();
        let sql = "SELECT 1 FROM pg_sleep(2.5)".to_owned();
        let answer = worker.ask(DatabaseRequest::Once { sql, values: Vec::new() });
        assert_eq!(answer.map(|answer| answer.rows.len()).unwrap(), 1);
    }
}
