//! The mock in the same process: a transport without a network, for tests in virtual time.

use std::sync::Arc;

use super::{
    arrival::{Arrival, ClientView},
    mock_service::MockService,
};
use crate::{
    api::{
        http::EXCHANGE_MAX,
        transport::{Request, Response, Transport, TransportError},
    },
    clock::Clock,
};

/// Passes requests to a mock in the same process.
pub struct Direct {
    mock: Arc<MockService>,
    clock: Clock,
    key: String,
}

impl Direct {
    /// A transport to `mock` with this API key.
    #[must_use]
    pub fn new(mock: Arc<MockService>, clock: Clock, key: &str) -> Self {
        Self { mock, clock, key: key.to_owned() }
    }
}

impl Transport for Direct {
    async fn exchange(&self, request: Request) -> Result<Response, TransportError> {
        let arrival = Arrival {
            key: self.key.clone(),
            method: request.method,
            endpoint: request.endpoint.to_owned(),
            query: request.query,
            body: request.body,
        };
        match self.mock.answer(arrival).await {
            ClientView::Answer(reply) => Ok(reply),
            ClientView::Cut => Err(TransportError::NoAnswer("connection reset".to_owned())),
            ClientView::Silence => {
                self.clock.sleep(EXCHANGE_MAX).await;
                Err(TransportError::NoAnswer("no answer in time".to_owned()))
            }
        }
    }
}
