//! `telecine preview`: rows as the service would get them, and the form as it is sent.

use clap::Args;

use crate::{
    app::preview::rows,
    cli::{
        args::{ManifestArgs, values},
        output::{
            CommandEnd, NoFields, print, print_end, print_json,
            rows::show_row,
            scan::{describe, show_origins},
        },
    },
    domain::{no_row_remedy, no_row_text},
    error::{Error, ExitCode},
    manifest::Manifest,
    settings::EffectiveSetting,
};

/// Flags of `telecine preview`.
#[derive(Args, Debug)]
pub(in crate::cli) struct PreviewArgs {
    #[command(flatten)]
    manifest: ManifestArgs,

    /// Show N rows of each manifest.
    #[arg(short = 'n', long, value_name = "N", env = "TELECINE_ROWS", default_value_t = 3,
          value_parser = values::whole::<u64>(1..=10_000))]
    rows: u64,

    /// Begin with the row on this line.
    #[arg(long, value_name = "LINE", env = "TELECINE_FROM_LINE", default_value_t = 1,
          value_parser = values::whole::<u64>(1..=u64::MAX))]
    from_line: u64,

    /// Print one JSON object per row on stdout.
    #[arg(long, env = "TELECINE_JSON")]
    json: bool,
}

/// Shows rows.
pub(in crate::cli) fn preview(args: &PreviewArgs, effective: &[EffectiveSetting]) -> Result<ExitCode, Error> {
    let manifests = args.manifest.open_alone(args.json)?;
    if !args.json {
        print(&(describe(&manifests) + &show_origins(effective)))?;
    }
    let mut is_any_good = false;
    for mut manifest in manifests {
        let count = usize::try_from(args.rows).unwrap_or(usize::MAX);
        let shown = rows(&mut manifest, args.from_line, count)?;
        if shown.is_empty() && !args.json {
            print(&format!("\n  {}: {}\n", manifest.path(), absence(&manifest, args.from_line)))?;
        }
        for row in shown {
            is_any_good |= row.problems.is_empty();
            if args.json { print_json(&row)? } else { print(&show_row(&row))? }
        }
        let notices = manifest.notices();
        if !args.json && !notices.is_empty() {
            print(&format!("\n  {}\n", notices.join("\n  ")))?;
        }
    }
    let code = if is_any_good { ExitCode::Success } else { ExitCode::ManifestInvalid };
    if args.json {
        print_end(&CommandEnd::of(code), &NoFields {})?;
    }
    Ok(code)
}

/// Why there is no row to show.
fn absence(manifest: &Manifest, from_line: u64) -> String {
    if from_line > 1 {
        return format!("there is no row on line {from_line} or behind it");
    }
    format!("{}; {}", no_row_text(manifest.left_out()), no_row_remedy(manifest.left_out()))
}
