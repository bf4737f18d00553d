//! Groups of flags that several commands share, and how they become checked values. One file per group.
#![allow(
    clippy::doc_markdown,
    rustdoc::bare_urls,
    rustdoc::broken_intra_doc_links,
    reason = "the doc comments of flags are help texts"
)]

pub(in crate::cli) mod behaviour;
pub(in crate::cli) mod budget;
pub(in crate::cli) mod callbacks;
pub(in crate::cli) mod hooks;
pub(in crate::cli) mod ledger;
pub(in crate::cli) mod limits;
pub(in crate::cli) mod links;
pub(in crate::cli) mod listed;
pub(in crate::cli) mod manifest;
pub(in crate::cli) mod output;
pub(in crate::cli) mod price;
pub(in crate::cli) mod rows;
pub(in crate::cli) mod run;
pub(in crate::cli) mod service;
pub(in crate::cli) mod settle;
pub(in crate::cli) mod values;

pub(in crate::cli) use budget::BudgetArgs;
pub(in crate::cli) use callbacks::{CallbackArgs, CallbackListenArgs};
pub(in crate::cli) use hooks::HookArgs;
pub(in crate::cli) use ledger::{LedgerArgs, ReadOnlyLedgerArgs, Target, place};
pub(in crate::cli) use links::LinkArgs;
pub(in crate::cli) use manifest::ManifestArgs;
pub(in crate::cli) use output::OutputArgs;
pub(in crate::cli) use price::PriceArgs;
pub(in crate::cli) use rows::RowArgs;
pub(in crate::cli) use run::RunArgs;
pub(in crate::cli) use service::ServiceArgs;
pub(in crate::cli) use settle::SettleArgs;
