//! The mock in the same process: a transport without a network, for tests in virtual time.

use std::sync::Arc;

use super::{
    arrival::{Arrival, ClientView},
    mock_service::MockService,
    multipart::MultipartReader,
};
use crate::{
    api::{
        StreamedBody,
        http::EXCHANGE_MAX,
        transport::{Content, Request, Response, Transport, TransportError},
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
            file: None,
        };
        self.seen(self.mock.answer(arrival).await).await
    }

    async fn send_file(&self, request: Request, mut body: StreamedBody) -> Result<Response, TransportError> {
        let content_type = match &request.content {
            Content::Multipart(boundary) => format!("multipart/form-data; boundary={boundary}"),
            Content::Empty | Content::Form | Content::Json => String::new(),
        };
        let reader = MultipartReader::of_content_type(&content_type);
        let mut reader =
            reader.ok_or_else(|| TransportError::NotSent("the request has no boundary".to_owned()))?;
        let cut_at = self.mock.begin_file();
        while let Some(part) = body.next().await {
            let part = part.map_err(|cut| TransportError::NoAnswer(cut.to_string()))?;
            reader.push(&part).map_err(TransportError::NoAnswer)?;
            if cut_at.is_some_and(|cut_at| reader.read() >= cut_at) {
                return Err(TransportError::NoAnswer("connection reset".to_owned()));
            }
        }
        let arrival = Arrival {
            key: self.key.clone(),
            method: request.method,
            endpoint: request.endpoint.to_owned(),
            query: request.query,
            body: String::new(),
            file: None,
        };
        self.seen(self.mock.answer_file(arrival, reader).await).await
    }
}

impl Direct {
    async fn seen(&self, view: ClientView) -> Result<Response, TransportError> {
        match view {
            ClientView::Answer(reply) => Ok(reply),
            ClientView::Cut => Err(TransportError::NoAnswer("connection reset".to_owned())),
            ClientView::Silence => {
                self.clock.sleep(EXCHANGE_MAX).await;
                Err(TransportError::NoAnswer("no answer in time".to_owned()))
            }
        }
    }
}
