//! The settings file of a new project, with comments.

use std::fmt::Write as _;

/// What is known when the file is written.
#[derive(Clone, Debug, Default)]
pub struct InitAnswers {
    /// The name of the account, if its settings get a table of their own.
    pub account: Option<String>,
    /// The address of the service.
    pub api_url: Option<String>,
    /// The file of the API key.
    pub key_file: Option<String>,
    /// The rate of uploads.
    pub rate: Option<String>,
    /// The rolling cap on uploads.
    pub cap: Option<String>,
}

const HEAD: &str = "\
# Settings of telecine in this folder. Each key is a long flag without its dashes; a flag on the command line takes precedence.
# `telecine config` shows what holds and where it comes from. The API key itself cannot be in this file.
# Because this file is here, ledgers and reports are in state/ beside it.
";

/// The text of `telecine.toml`. What is not known stays as a comment.
#[must_use]
pub fn settings_text(answers: &InitAnswers) -> String {
    let mut text = HEAD.to_owned();
    if let Some(account) = &answers.account {
        let _ = write!(
            text,
            "\n# The settings of `--account {account}`, or of the variable TELECINE_ACCOUNT={account}. Its ledger is \
             state/telecine-{account}.db.\n[account.{account}]\n"
        );
    }
    let settings = [
        ("api-url", &answers.api_url, "https://api.memories.ai", "The address of the service."),
        (
            "key-file",
            &answers.key_file,
            "memories.key",
            "The file of the API key; only you may read it (chmod 600). Without it: the variable MEMORIES_API_KEY.",
        ),
        ("rate", &answers.rate, "1/min", "How often the account allows an upload, such as 1/s or 30/min."),
        (
            "cap",
            &answers.cap,
            "120/2h",
            "The rolling cap on uploads; learned from refusals if it is not known.",
        ),
    ];
    for (key, value, example, about) in settings {
        let comment = if value.is_some() { "" } else { "# " };
        let value = quoted(value.as_deref().unwrap_or(example));
        let _ = write!(text, "\n# {about}\n{comment}{key} = {value}\n");
    }
    text.push_str(
        "\n# How to read one manifest; `telecine guess FILE` proposes it.\n\
         # [manifest.\"archive.csv\"]\n# map = [\"url=link\", \"tags=topic+place\"]\n",
    );
    text
}

/// A text as TOML and JSON write it alike.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
