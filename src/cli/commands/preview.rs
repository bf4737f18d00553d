//! `telecine preview`: rows as the service would get them, and the form as it is sent.

use clap::Args;

use crate::{
    app::preview::rows,
    cli::{
        args::ManifestArgs,
        output::{
            CommandEnd, NoFields, print, print_end, print_json,
            rows::show_row,
            scan::{describe, show_origins},
        },
    },
    error::{Error, ExitCode},
    settings::EffectiveSetting,
};

/// Flags of `telecine preview`.
#[derive(Args, Debug)]
pub(in crate::cli) struct PreviewArgs {
    #[command(flatten)]
    manifest: ManifestArgs,

    /// Show N rows of each manifest.
    #[arg(short = 'n', long, value_name = "N", env = "TELECINE_ROWS", default_value_t = 3,
          value_parser = clap::value_parser!(u64).range(1..=10_000))]
    rows: u64,

    /// Begin with the row on this line.
    #[arg(long, value_name = "LINE", env = "TELECINE_FROM_LINE", default_value_t = 1,
          value_parser = clap::value_parser!(u64).range(1..))]
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
        for row in rows(&mut manifest, args.from_line, count)? {
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
