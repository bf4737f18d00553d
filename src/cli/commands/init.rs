//! `telecine init`: writes a settings file with comments.

use std::{
    fs::OpenOptions,
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    path::Path,
};

use clap::Args;

use crate::{
    app::init::{InitAnswers, settings_text},
    cli::{args::values, output::print},
    domain::{Cap, Rate},
    error::{Error, ExitCode},
    settings::{PROJECT_FILE, credentials},
};

/// Flags of `telecine init`.
#[derive(Args, Debug)]
pub(in crate::cli) struct InitArgs {
    /// Give the settings a table of their own, [account.NAME]: for folders that import into several accounts.
    #[arg(long, value_name = "NAME", env = "TELECINE_NAME", value_parser = values::account)]
    name: Option<String>,

    /// The address of the service.
    #[arg(long, value_name = "URL", env = "TELECINE_API_URL")]
    api_url: Option<String>,

    /// The file of the API key.
    #[arg(long, value_name = "PATH", env = "TELECINE_KEY_FILE")]
    key_file: Option<String>,

    /// The rate of uploads that the account allows.
    #[arg(long, value_name = "N/PERIOD", env = "TELECINE_RATE")]
    rate: Option<Rate>,

    /// The rolling cap on uploads of the account.
    #[arg(long, value_name = "N/PERIOD", env = "TELECINE_CAP")]
    cap: Option<Cap>,
}

/// Writes the file. It overwrites nothing.
pub(in crate::cli) fn init(args: &InitArgs) -> Result<ExitCode, Error> {
    if std::path::Path::new(PROJECT_FILE).exists() {
        return Err(exists());
    }
    if let Some(address) = &args.api_url {
        credentials::origin(address)?;
    }
    let mut answers = InitAnswers {
        account: args.name.clone(),
        api_url: args.api_url.clone(),
        key_file: args.key_file.clone(),
        rate: args.rate.as_ref().map(ToString::to_string),
        cap: args.cap.as_ref().map(ToString::to_string),
    };
    if io::stdin().is_terminal() {
        ask_for_missing(&mut answers)?;
    }
    let written = OpenOptions::new().write(true).create_new(true).open(PROJECT_FILE);
    let written = written.and_then(|mut file| file.write_all(settings_text(&answers).as_bytes()));
    match written {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(exists()),
        Err(error) => return Err(Error::Usage(format!("{PROJECT_FILE} cannot be written: {error}"))),
    }
    if let Some(path) = answers.key_file.as_ref().filter(|path| !Path::new(path).exists()) {
        // if stderr is closed, nobody reads it
        let _ = writeln!(
            io::stderr(),
            "telecine: there is no key file {path} yet; write the API key into it, and chmod 600 it"
        );
    }
    let account = args.name.as_ref().map(|name| format!(" --account {name}")).unwrap_or_default();
    print(&format!(
        "{PROJECT_FILE} is written; `telecine config{account}` shows its settings, `telecine doctor{account}` tries them\n"
    ))?;
    Ok(ExitCode::Success)
}

fn exists() -> Error {
    Error::Usage(format!(
        "{PROJECT_FILE} exists already, and init overwrites nothing; edit it, or run init in another folder"
    ))
}

fn ask_for_missing(answers: &mut InitAnswers) -> Result<(), Error> {
    let fields: [(&mut Option<String>, &str, Check); 4] = [
        (&mut answers.api_url, "Address of the service (empty: https://api.memories.ai)", |text| {
            credentials::origin(text).map(|_| ()).map_err(|error| error.to_string())
        }),
        (&mut answers.key_file, "File of the API key (empty: the variable MEMORIES_API_KEY)", |_| Ok(())),
        (&mut answers.rate, "Uploads that the account allows, such as 1/s (empty: 1/min)", |text| {
            text.parse::<Rate>().map(|_| ()).map_err(|error| error.to_string())
        }),
        (&mut answers.cap, "Rolling cap on uploads, such as 120/2h (empty: learned)", |text| {
            text.parse::<Cap>().map(|_| ()).map_err(|error| error.to_string())
        }),
    ];
    for (answer, question, check) in fields {
        if answer.is_none() {
            *answer = ask(question, check)?;
        }
    }
    Ok(())
}

/// Says what is wrong with an answer.
type Check = fn(&str) -> Result<(), String>;

/// Asks until the answer is empty or right.
fn ask(question: &str, check: Check) -> Result<Option<String>, Error> {
    loop {
        // if stderr is closed, nobody reads the question
        let _ = write!(io::stderr(), "{question}: ");
        let mut line = String::new();
        let read = io::stdin().lock().read_line(&mut line);
        read.map_err(|error| Error::Usage(format!("the answer cannot be read: {error}")))?;
        let answer = line.trim();
        if answer.is_empty() {
            return Ok(None);
        }
        match check(answer) {
            Ok(()) => return Ok(Some(answer.to_owned())),
            Err(error) => {
                let _ = writeln!(io::stderr(), "  {error}");
            }
        }
    }
}
