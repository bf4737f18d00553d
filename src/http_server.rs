//! What the HTTP servers of the sandbox, of the dashboard and of calls share: connections and their number, and bodies that grow.
//!
//! axum routes; hyper serves each connection directly, so that a cut line is really cut.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
    task::JoinHandle,
};
use tower::ServiceExt as _;

/// How long a server waits after it could not accept a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Marks a response that is replaced by cutting the connection.
#[derive(Clone, Copy)]
pub(crate) struct CutHere;

/// What a server allows its clients.
#[derive(Clone, Copy)]
pub(crate) struct ConnectionRules {
    /// Connections at the same time. More are closed at once.
    pub(crate) connections_max: u32,
    /// The time for a request to arrive; each connection then carries one request only. `None`: any time, and many requests.
    pub(crate) request_time_max: Option<Duration>,
}

impl ConnectionRules {
    /// For clients of a test.
    pub(crate) const ANY: Self = Self { connections_max: 1 << 20, request_time_max: None };

    fn connection(self) -> http1::Builder {
        let mut builder = http1::Builder::new();
        if let Some(time_max) = self.request_time_max {
            builder.timer(TokioTimer::new()).header_read_timeout(time_max).keep_alive(false);
        }
        builder
    }
}

/// An address that is listened on, and not served yet.
pub(crate) struct BoundAddress {
    listener: TcpListener,
    address: SocketAddr,
}

/// Listens on an address. Port 0: a free port.
pub(crate) async fn bind(address: SocketAddr) -> io::Result<BoundAddress> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    Ok(BoundAddress { listener, address })
}

impl BoundAddress {
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves in a task of its own, until the server is dropped.
    pub(crate) fn serve(self, router: Router, rules: ConnectionRules) -> HttpServer {
        let Self { listener, address } = self;
        let free = Arc::new(Semaphore::new(rules.connections_max as usize));
        let connections = Arc::clone(&free);
        let accepting = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    // out of descriptors, say: the same connection is refused again at once
                    pause(ACCEPT_PAUSE).await;
                    continue;
                };
                let Ok(permit) = Arc::clone(&connections).try_acquire_owned() else { continue };
                let _ = stream.set_nodelay(true);
                let serving = serve_connection(TokioIo::new(stream), rules.connection(), router.clone());
                tokio::spawn(async move {
                    serving.await;
                    drop(permit);
                });
            }
        });
        HttpServer { address, accepting, free, rules }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the server waits for the system, whatever the clock of a run says"
)]
async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// A server; dropping it stops it.
pub(crate) struct HttpServer {
    address: SocketAddr,
    accepting: JoinHandle<()>,
    /// A permit for each connection that may still come.
    free: Arc<Semaphore>,
    rules: ConnectionRules,
}

impl HttpServer {
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for ever: only dropping the server ends it.
    pub(crate) async fn finished(&self) {
        std::future::pending::<()>().await;
    }

    /// Takes no more connections, and waits until the last one is closed.
    pub(crate) async fn drained(&self) {
        self.accepting.abort();
        // it is never closed
        let _ = self.free.acquire_many(self.rules.connections_max).await;
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve_connection(stream: TokioIo<TcpStream>, builder: http1::Builder, router: Router) {
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let router = router.clone();
        async move {
            let response = router
                .oneshot(request.map(Body::new))
                .await
                .unwrap_or_else(|never: Infallible| match never {});
            if response.extensions().get::<CutHere>().is_some() {
                return Err(io::Error::other("the line is cut"));
            }
            Ok(response)
        }
    });
    // a client that disconnects ends the connection; there is nothing to report
    let _ = builder.serve_connection(stream, service).await;
}

/// The next bytes of the body of a request. `None`: its end.
pub(crate) async fn next_part(body: &mut Body) -> Option<Result<Bytes, axum::Error>> {
    loop {
        let frame = std::future::poll_fn(|context| {
            <Body as hyper::body::Body>::poll_frame(Pin::new(&mut *body), context)
        });
        match frame.await? {
            Ok(frame) => {
                if let Ok(bytes) = frame.into_data() {
                    return Some(Ok(bytes));
                }
            }
            Err(error) => return Some(Err(error)),
        }
    }
}

/// A body whose parts come one after the other. One part waits at most: who sends waits for the reader.
pub(crate) fn growing_body() -> (mpsc::Sender<Bytes>, Body) {
    let (sender, parts) = mpsc::channel(1);
    (sender, Body::new(GrowingBody { parts }))
}

struct GrowingBody {
    parts: mpsc::Receiver<Bytes>,
}

impl hyper::body::Body for GrowingBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.parts.poll_recv(context).map(|part| part.map(|bytes| Ok(Frame::data(bytes))))
    }
}
