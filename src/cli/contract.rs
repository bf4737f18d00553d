//! The JSON contract: the schema of everything that `--json` prints and of `report.json`, and the page that lists it.

use std::fmt::Write as _;

use schemars::{JsonSchema, Schema, generate::SchemaSettings};
use serde_json::Value;

use super::{
    commands::{
        acknowledge, config, dashboard, doctor, explain, import, ledger, list, plan, quota, recover,
        rehearse, report, resolve, review, runs, status, undo, verify, version,
    },
    output::{
        json::{CommandEnd, NoFields},
        sinks::JsonLine,
    },
};
use crate::{
    app::{plan::Plan, preview::PreviewRow},
    events::Event,
    report::Summary,
};

/// One kind of JSON object, and where it is printed.
pub struct JsonObject {
    /// The heading of its section in the page.
    pub name: &'static str,
    /// Where it is printed.
    pub place: &'static str,
    /// Its JSON schema; references are resolved.
    pub schema: Schema,
}

fn schema<T: JsonSchema>() -> Schema {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.for_serialize().into_generator().into_root_schema_for::<T>()
}

fn object<T: JsonSchema>(name: &'static str, place: &'static str) -> JsonObject {
    JsonObject { name, place, schema: schema::<T>() }
}

/// Every object of the contract, but for the events of a run.
#[must_use]
pub fn objects() -> Vec<JsonObject> {
    vec![
        object::<CommandEnd>(
            "the last object",
            "the last line of every command; the fields below are beside these",
        ),
        object::<JsonLine<'_>>(
            "every event",
            "every line of a run but the last; the fields of the event are beside these",
        ),
        object::<Summary>(
            "report.json",
            "the report folder, and the last line of `import` and `reconcile`; of an import for several accounts, the last line of each",
        ),
        object::<import::AccountsBody<'_>>("import for several accounts", "the last line"),
        object::<rehearse::RehearsalTotals<'_>>(
            "rehearse",
            "the last line, beside the fields of `report.json`",
        ),
        object::<import::DryRunBody<'_>>("import --dry-run", "the last line"),
        object::<Plan>("plan", "the last line"),
        object::<plan::PlanAccountsBody>("plan for several accounts", "the last line"),
        object::<quota::QuotaBody>("quota", "the last line of `quota` and `quota set`"),
        object::<status::StatusBody>("status", "the last line"),
        object::<dashboard::DashboardLine>("dashboard", "the first line"),
        object::<dashboard::DashboardBody>("the end of dashboard", "the last line"),
        object::<report::ReportBody>("report", "the last line"),
        object::<explain::ExplainBody>("explain", "the last line"),
        object::<list::ListLine>("list", "one line per item"),
        object::<runs::RunsBody>("runs", "the last line"),
        object::<runs::RunDetailBody>("runs show", "the last line"),
        object::<review::QuestionLine>("review", "one line per item"),
        object::<resolve::ResolveBody>("resolve", "the last line"),
        object::<undo::UndoLine>("undo", "one line per video"),
        object::<undo::UndoBody>("the end of undo", "the last line"),
        object::<verify::VerifyBody>("verify", "the last line"),
        object::<recover::RecoverBody>("recover", "the last line"),
        object::<ledger::LedgerCopyBody>("ledger copy", "the last line"),
        object::<ledger::LedgerCheckBody>("ledger check", "the last line"),
        object::<config::ConfigBody<'_>>("config", "the last line"),
        object::<acknowledge::AcknowledgeBody>("acknowledge", "the last line"),
        object::<report::PruneBody>("report prune", "the last line"),
        object::<doctor::DoctorBody>("doctor", "the last line"),
        object::<version::VersionBody>("version", "the last line"),
        object::<PreviewRow>("preview", "one line per row"),
        object::<super::commands::check::Checked<'_>>("check", "the last line"),
        object::<super::commands::guess::Guessed<'_>>("guess", "the last line"),
        object::<NoFields>(
            "other ends",
            "the last line of `review`, `list`, `preview` and of every command that failed",
        ),
    ]
}

/// The schema of each event of a run, by its name.
#[must_use]
pub fn events() -> Vec<(String, Schema)> {
    let all = schema::<Event>();
    let kinds = all.get("oneOf").or_else(|| all.get("anyOf")).and_then(Value::as_array).cloned();
    kinds
        .unwrap_or_default()
        .into_iter()
        .filter_map(|kind| {
            let name = kind.pointer("/properties/event/const").and_then(Value::as_str)?.to_owned();
            Schema::try_from(kind).ok().map(|schema| (name, schema))
        })
        .collect()
}

/// The text of `docs/json.md`.
#[must_use]
pub fn page() -> String {
    let mut text = String::from(
        "# The JSON contract\n\n\
         With `--json` a command prints one JSON object per line on stdout. The last object says how the command ended, also \
         when it failed. Times are RFC 3339 in UTC. States have the names of [the glossary](glossary.md); in text, `_` is \
         written as a space. New fields may be added; a field that changes its meaning raises `schema`.\n\n\
         A run does not wait for the reader of its output. If more than 32,768 events wait to be read, the next ones are left \
         out, and a `message` says how many. Every row is in the report.\n\n\
         This page is generated from the types: `TELECINE_WRITE_DOCS=1 cargo test --test by_process json`.\n",
    );
    for JsonObject { name, place, schema } in objects() {
        let _ = writeln!(text, "\n## {name}\n\n{place}\n");
        table(&mut text, schema.as_value());
    }
    let _ = writeln!(
        text,
        "\n## Events of a run\n\n`import`, `reconcile`, `rehearse`, `verify` and `recover` print them."
    );
    for (name, schema) in events() {
        let about = schema.get("description").and_then(Value::as_str).unwrap_or_default().replace('\n', " ");
        let _ = writeln!(text, "\n### {name}\n\n{about}\n");
        table(&mut text, schema.as_value());
    }
    text
}

fn table(text: &mut String, schema: &Value) {
    text.push_str("| field | type | meaning |\n|---|---|---|\n");
    rows(text, "", schema);
}

fn rows(text: &mut String, prefix: &str, schema: &Value) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
    let required = schema.get("required").and_then(Value::as_array);
    for (name, field) in properties {
        let is_required = required.is_some_and(|required| required.iter().any(|known| known == name));
        let about = field.get("description").and_then(Value::as_str).unwrap_or_default();
        let about = about.replace('\n', " ").replace('|', "\\|");
        let optional = if is_required { "" } else { ", may be absent" };
        let _ = writeln!(text, "| `{prefix}{name}` | {}{optional} | {about} |", kind(field));
        if field.get("properties").is_some() {
            rows(text, &format!("{prefix}{name}."), field);
        } else if let Some(items) = field.get("items") {
            rows(text, &format!("{prefix}{name}[]."), items);
        } else if let Some(values) = field.get("additionalProperties") {
            rows(text, &format!("{prefix}{name}.*."), values);
        }
        for variant in field.get("anyOf").and_then(Value::as_array).into_iter().flatten() {
            rows(text, &format!("{prefix}{name}."), variant);
        }
    }
}

fn kind(field: &Value) -> String {
    if let Some(name) = field.get("const") {
        return format!("`{name}`");
    }
    let names: Vec<String> = match field.get("type") {
        Some(Value::String(name)) => vec![name.clone()],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => field
            .get("anyOf")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|variant| variant.get("type").and_then(Value::as_str))
            .map(str::to_owned)
            .collect(),
    };
    let is_time = field.get("format").is_some_and(|format| format == "date-time");
    names.join(" or ").replace("string", if is_time { "time (RFC 3339)" } else { "string" })
}
