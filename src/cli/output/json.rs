//! Output for programs: one JSON object per line on stdout, and a last object for every end of a command.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::print_data;
use crate::{
    error::{Error, ExitCode},
    report::{SCHEMA, Summary},
};

/// The fields of the last object of every command.
#[derive(Serialize, JsonSchema)]
pub(in crate::cli) struct CommandEnd {
    /// The version of this contract.
    pub(in crate::cli) schema: u32,
    /// The kind of end: `run_ended`, `rehearsal_ended`, `accounts_ended`, `command_ended` or `command_failed`.
    pub(in crate::cli) event: &'static str,
    /// The account whose part of the command ended, where one command works for several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) account: Option<String>,
    /// The exit code.
    pub(in crate::cli) exit_code: ExitCode,
    /// Why the command ended with this exit code.
    pub(in crate::cli) reason: String,
    /// What to do next. `null`: nothing.
    pub(in crate::cli) next_step: Option<String>,
}

impl CommandEnd {
    /// A command that did its work. The meaning of a success is about the rows of a run; a command that only shows something says
    /// nothing of them.
    pub(in crate::cli) fn of(code: ExitCode) -> Self {
        let reason =
            if code == ExitCode::Success { "the command did what was asked" } else { code.meaning() };
        Self {
            schema: SCHEMA,
            event: "command_ended",
            account: None,
            exit_code: code,
            reason: reason.to_owned(),
            next_step: None,
        }
    }

    /// A run, with its summary.
    pub(in crate::cli) fn of_run(event: &'static str, summary: &Summary) -> Self {
        let (reason, next_step) = (summary.exit_reason.clone(), summary.next_step.clone());
        Self { event, reason, next_step, ..Self::of(summary.exit_code) }
    }

    /// The same for one account of several.
    pub(in crate::cli) fn of_account(self, account: Option<&str>) -> Self {
        Self { account: account.map(str::to_owned), ..self }
    }

    /// A command that could not do its work.
    pub(in crate::cli) fn failed(code: ExitCode, reason: String) -> Self {
        let next_step = Some(code.next_step().to_owned());
        Self { event: "command_failed", reason, next_step, ..Self::of(code) }
    }
}

/// A line without fields of its own.
#[derive(Serialize, JsonSchema)]
pub(in crate::cli) struct NoFields {}

/// Prints one value as one line of JSON on stdout.
pub(in crate::cli) fn print_json(value: &impl Serialize) -> Result<(), Error> {
    let line = serde_json::to_string(value).map_err(|error| Error::Output(error.into()))?;
    print_data(&format!("{line}\n"))
}

/// Prints the last object of a command.
pub(in crate::cli) fn print_end(end: &CommandEnd, body: &impl Serialize) -> Result<(), Error> {
    print_data(&format!("{}\n", end_line(end, body)?))
}

/// The last object of a command. The fields of the end replace fields of the same name in `body`.
pub(in crate::cli) fn end_line(end: &CommandEnd, body: &impl Serialize) -> Result<String, Error> {
    #[derive(Serialize)]
    struct LastLine<'a> {
        #[serde(flatten)]
        end: &'a CommandEnd,
        #[serde(flatten)]
        body: Map<String, Value>,
    }
    let value = |value: Result<Value, serde_json::Error>| value.map_err(|error| Error::Output(error.into()));
    let Value::Object(mut body) = value(serde_json::to_value(body))? else {
        return Err(Error::Output(std::io::Error::other("the result is not a JSON object")));
    };
    for name in ["schema", "event", "exit_code", "reason", "next_step"] {
        body.remove(name);
    }
    serde_json::to_string(&LastLine { end, body }).map_err(|error| Error::Output(error.into()))
}
