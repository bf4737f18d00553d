//! The flags of manifests as values: for settings that are written, and for the id of a plan.

use super::ManifestArgs;
use crate::{app::plan::PlanField, cli::args::values, manifest::Quote};

impl ManifestArgs {
    /// The flags that differ from their defaults, with their values, without the mapping and `--no-header`.
    pub(in crate::cli) fn settings(&self) -> Vec<(&'static str, Vec<String>)> {
        let byte = |byte: u8| if byte == b'\t' { "tab".to_owned() } else { char::from(byte).to_string() };
        let one = |value: Option<String>| value.into_iter().collect::<Vec<_>>();
        let unless = |value: String, default: &str| {
            if value == default { Vec::new() } else { vec![value] }
        };
        let quote = match self.quote {
            Quote::Byte(quote) => char::from(quote).to_string(),
            Quote::None => "none".to_owned(),
        };
        let settings = [
            ("format", one(self.format.as_ref().map(values::name_of))),
            ("encoding", one(self.encoding.map(|encoding| encoding.to_string()))),
            ("delimiter", one(self.delimiter.map(byte))),
            ("quote", unless(quote, "\"")),
            ("escape", one(self.escape.map(byte))),
            ("comment", one(self.comment.map(byte))),
            ("header-line", unless(self.header_line.to_string(), "1")),
            ("sheet", one(self.sheet.clone())),
            ("join", self.join.iter().map(ToString::to_string).collect()),
            ("where", self.filters.iter().map(ToString::to_string).collect()),
            ("tag", self.tag.clone()),
            ("tag-separator", one(self.tag_separator.clone())),
            ("files-root", one(self.files_root.as_ref().map(|root| root.display().to_string()))),
            ("via", unless(values::name_of(&self.listed.via), "link")),
            ("same-by", unless(values::name_of(&self.same_by), "url")),
            ("geo-order", unless(values::name_of(&self.geo_order), "lat-lon")),
            ("date-format", self.date_format.iter().map(ToString::to_string).collect()),
            ("timezone", one(self.timezone.as_ref().and_then(|zone| zone.iana_name().map(str::to_owned)))),
            ("datetime-offset", unless(values::name_of(&self.datetime_offset), "keep")),
            ("too-long", unless(values::name_of(&self.too_long), "refuse")),
            ("unique-id", unless(self.unique_id.clone(), "default")),
            ("null", self.null.clone()),
            ("drop-invalid", self.drop_invalid.iter().map(|field| field.name().to_owned()).collect()),
        ];
        settings.into_iter().chain(self.listed.patterns()).filter(|(_, values)| !values.is_empty()).collect()
    }

    /// Every flag that changes how the manifests are read, for the id of a plan.
    pub(in crate::cli) fn plan_fields(&self) -> Vec<PlanField> {
        let mut fields: Vec<PlanField> =
            self.settings().into_iter().map(|(name, values)| PlanField { name, values }).collect();
        fields.push(PlanField { name: "map", values: self.map.iter().map(ToString::to_string).collect() });
        let account = self.chosen.account().into_iter().filter(|_| self.account_rule().is_some());
        fields.push(PlanField { name: "account", values: account.map(str::to_owned).collect() });
        fields.push(PlanField::switch("no-header", self.no_header));
        fields.push(PlanField::switch("no-marker", self.no_marker));
        fields.push(PlanField::switch("pad-short-rows", self.pad_short_rows));
        fields.push(PlanField::switch("no-null", self.no_null));
        fields.push(PlanField::switch("from-media", self.listed.from_media));
        fields
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        manifest: ManifestArgs,

        #[arg(long, global = true)]
        account: Option<String>,
    }

    fn fields(flags: &[&str]) -> Vec<PlanField> {
        let arguments = ["telecine", "m.csv"].into_iter().chain(flags.iter().copied());
        Line::try_parse_from(arguments).unwrap_or_else(|error| panic!("{error}")).manifest.plan_fields()
    }

    #[test]
    fn every_flag_that_changes_how_a_manifest_is_read_changes_the_plan() {
        let plain = fields(&[]);
        for flags in [
            ["--map", "url=link"],
            ["--tag", "a"],
            ["--where", "a=b"],
            ["--join", "b.csv:id"],
            ["--format", "csv"],
            ["--tag-separator", "/"],
            ["--delimiter", "tab"],
            ["--encoding", "latin1"],
            ["--quote", "none"],
            ["--escape", "\\"],
            ["--comment", "#"],
            ["--header-line", "2"],
            ["--no-header", "--no-header"],
            ["--unique-id", "x"],
            ["--same-by", "id"],
            ["--geo-order", "lon-lat"],
            ["--date-format", "dmy"],
            ["--timezone", "Europe/Berlin"],
            ["--too-long", "cut"],
            ["--datetime-offset", "utc"],
            ["--no-marker", "--no-marker"],
            ["--sheet", "Videos"],
            ["--null", "-"],
            ["--no-null", "--no-null"],
            ["--drop-invalid", "datetime"],
            ["--pad-short-rows", "--pad-short-rows"],
            ["--files-root", "/videos"],
            ["--include", "*.mp4"],
            ["--exclude", "raw/*"],
            ["--via", "upload"],
            ["--from-media", "--from-media"],
        ] {
            let flags = if flags[0] == flags[1] { &flags[..1] } else { &flags[..] };
            assert_ne!(fields(flags), plain, "{flags:?}");
        }
        assert_eq!(fields(&["--header-line", "1"]), plain);
    }

    #[test]
    fn no_flag_of_a_manifest_is_forgotten_in_the_plan() {
        use clap::CommandFactory as _;
        let known: Vec<&str> =
            "map tag where join format tag-separator delimiter encoding quote escape comment header-line no-header \
             unique-id same-by geo-order date-format timezone too-long datetime-offset no-marker sheet \
             pad-short-rows files-root null no-null drop-invalid include exclude source-credentials-command account via \
             from-media"
                .split(' ')
                .collect();
        for arg in Line::command().get_arguments().filter_map(clap::Arg::get_long) {
            assert!(known.contains(&arg), "--{arg}: add it to plan_fields and to the tests here");
        }
    }
}
