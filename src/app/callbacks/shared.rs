//! One receiver for several runs of a process: the token of a call names the ledger that it is for.

use std::{fmt, net::SocketAddr, sync::Arc};

use super::{CallbackRequest, intakes::Intakes, server};
use crate::{error::Error, http_server::HttpServer, pipeline::CallIntake};

/// A receiver that several runs share. It answers until the last of its clones is dropped.
#[derive(Clone)]
pub(super) struct SharedReceiver {
    pub(super) address: SocketAddr,
    intakes: Intakes,
    _server: Arc<HttpServer>,
}

impl fmt::Debug for SharedReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedReceiver").field("address", &self.address).finish_non_exhaustive()
    }
}

impl SharedReceiver {
    /// Takes in the calls for a run until the result is dropped.
    pub(super) fn register(&self, intake: CallIntake) -> SharedCalls {
        let intake = Arc::new(intake);
        self.intakes.add(&intake);
        SharedCalls { receiver: self.clone(), intake }
    }
}

/// A run whose calls are taken in.
pub(in crate::app) struct SharedCalls {
    receiver: SharedReceiver,
    intake: Arc<CallIntake>,
}

impl Drop for SharedCalls {
    fn drop(&mut self) {
        self.receiver.intakes.remove(&self.intake);
    }
}

/// Listens once for all of these requests that name the same address, before anything is sent.
pub async fn share_receivers(mut requests: Vec<&mut CallbackRequest>) -> Result<(), Error> {
    let mut receivers: Vec<(SocketAddr, SharedReceiver)> = Vec::new();
    for request in &mut requests {
        let known = receivers.iter().find(|(listen, _)| *listen == request.listen);
        let receiver = if let Some((_, receiver)) = known {
            receiver.clone()
        } else {
            let bound = request.listen().await?;
            let (address, intakes) = (bound.address(), Intakes::default());
            let server = Arc::new(server::serve(bound, intakes.clone()));
            let receiver = SharedReceiver { address, intakes, _server: server };
            receivers.push((request.listen, receiver.clone()));
            receiver
        };
        request.shared = Some(receiver);
    }
    Ok(())
}
