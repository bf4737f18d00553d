//! The world in the same process: a transport without a wire, for tests in virtual time.

use std::sync::Arc;

use super::world::{Arrival, Sight, World};
use crate::{
    clock::Clock,
    service::{
        http::EXCHANGE_MAX,
        transport::{Loss, Reply, Request, Transport},
    },
};

/// Carries requests straight into a world.
pub struct Direct {
    world: Arc<World>,
    clock: Clock,
    key: String,
}

impl Direct {
    /// A transport into `world` with this API key.
    #[must_use]
    pub fn new(world: Arc<World>, clock: Clock, key: &str) -> Self {
        Self { world, clock, key: key.to_owned() }
    }
}

impl Transport for Direct {
    async fn exchange(&self, request: Request) -> Result<Reply, Loss> {
        let arrival = Arrival {
            key: self.key.clone(),
            method: request.method,
            endpoint: request.endpoint.to_owned(),
            query: request.query,
            body: request.body,
        };
        match self.world.answer(arrival).await {
            Sight::Answer(reply) => Ok(reply),
            Sight::Cut => Err(Loss::NoAnswer("connection reset".to_owned())),
            Sight::Silence => {
                self.clock.sleep(EXCHANGE_MAX).await;
                Err(Loss::NoAnswer("no answer in time".to_owned()))
            }
        }
    }
}
