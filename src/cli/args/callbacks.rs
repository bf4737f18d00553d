//! Flags for calls of the service.

use std::net::SocketAddr;

use clap::Args;

use super::values;
use crate::{
    app::{
        Destination,
        callbacks::{CallbackRequest, PublicUrl},
    },
    error::Error,
};

/// Where calls are received.
#[derive(Args, Debug)]
#[command(next_help_heading = "Callbacks")]
pub(in crate::cli) struct CallbackListenArgs {
    /// Receive calls of the service on this address, such as 127.0.0.1:8088. Port 0: a free port.
    ///
    /// A call settles a request without a clear answer sooner, and replaces polls. The service reaches the address by a reverse
    /// proxy with TLS. Without calls, everything goes on by polls. docs/callbacks.md has examples.
    #[arg(long, value_name = "ADDRESS", env = "TELECINE_CALLBACK_LISTEN", value_parser = values::address)]
    callback_listen: Option<SocketAddr>,
}

/// Where calls are received, and under which address.
#[derive(Args, Debug)]
#[command(next_help_heading = "Callbacks")]
pub(in crate::cli) struct CallbackArgs {
    #[command(flatten)]
    listen: CallbackListenArgs,

    /// The https address under which the service reaches --callback-listen, such as https://calls.example.org/telecine.
    ///
    /// Each upload gets it as its callback, with a token. Rows with a callback of their own keep theirs.
    #[arg(long, value_name = "URL", env = "TELECINE_PUBLIC_URL")]
    public_url: Option<String>,
}

impl CallbackListenArgs {
    pub(in crate::cli) fn request(&self) -> Option<CallbackRequest> {
        self.callback_listen.map(|listen| CallbackRequest::new(listen, None))
    }
}

impl CallbackArgs {
    pub(in crate::cli) fn request(
        &self,
        destination: &Destination,
    ) -> Result<Option<CallbackRequest>, Error> {
        match (self.listen.callback_listen, &self.public_url) {
            (None, None) => Ok(None),
            (Some(listen), Some(text)) => {
                let public_url = Some(PublicUrl::parse(text, destination)?);
                Ok(Some(CallbackRequest::new(listen, public_url)))
            }
            (Some(_), None) => Err(Error::Usage(
                "--callback-listen needs --public-url: the address under which the service reaches it"
                    .to_owned(),
            )),
            (None, Some(_)) => Err(Error::Usage(
                "--public-url needs --callback-listen: the address on which calls are received".to_owned(),
            )),
        }
    }
}
