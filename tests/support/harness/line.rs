//! The line to the service, which is down at times.

use telecine::{
    api::{
        StreamedBody, Transport,
        transport::{Request, Response, TransportError},
    },
    clock::Clock,
    domain::UnixMillis,
    sandbox::Direct,
};

/// The line to the service, which is down at times.
pub(super) struct Line {
    pub(super) direct: Direct,
    pub(super) clock: Clock,
    pub(super) outages: Vec<(UnixMillis, UnixMillis)>,
}

impl Transport for Line {
    async fn exchange(&self, request: Request) -> Result<Response, TransportError> {
        let now = self.clock.now();
        if self.outages.iter().any(|(from, until)| (*from..*until).contains(&now)) {
            return Err(TransportError::NotSent("the network is unreachable".to_owned()));
        }
        self.direct.exchange(request).await
    }

    async fn send_file(&self, request: Request, body: StreamedBody) -> Result<Response, TransportError> {
        let now = self.clock.now();
        if self.outages.iter().any(|(from, until)| (*from..*until).contains(&now)) {
            return Err(TransportError::NotSent("the network is unreachable".to_owned()));
        }
        self.direct.send_file(request, body).await
    }
}
