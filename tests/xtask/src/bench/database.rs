//! The ledger in PostgreSQL beside the one in a file: the same import, one after the other, on the same disk.

use std::fs;

use super::{
    Bench, FOLDER,
    imports::{self, Imported},
    median,
    table::{Row, Target},
    words,
};
use crate::postgres::{Cluster, programs};

/// The import of this benchmark, in the words of the table.
const IMPORT: &str = "import, ledger in PostgreSQL";

/// Rows of an import at most: each of its statements goes to the server and back.
const ROWS_MAX: u64 = 5_000;

/// What an import cost the server.
struct OnServer {
    import: Imported,
    commits: f64,
    log_bytes: f64,
}

pub(super) fn database(bench: &mut Bench) -> Result<(), String> {
    if programs().is_none() {
        bench.table.note("The ledger in PostgreSQL was skipped: there is no initdb.");
        return Ok(());
    }
    let rows = bench.rows.min(ROWS_MAX);
    let of_file = imports::imports(bench, rows)?;
    let cluster = Cluster::on_disk(&fs::canonicalize(FOLDER).map_err(words)?)?;
    let mut number = 0;
    let of_database = bench.repeated(|| {
        number += 1;
        import_once(bench, &cluster, rows, number)
    })?;
    #[expect(clippy::cast_precision_loss, reason = "a figure to print")]
    let rows = rows as f64;
    let cpu_us = |import: &Imported| import.usage.cpu_seconds * 1e6 / rows;
    let beside_file = |what: &str, unit, figure, file| Row {
        what: format!("{IMPORT}{what}"),
        unit,
        figure,
        yardstick: Some(("the same, ledger in a file".to_owned(), file)),
        target: Target::None,
    };
    let rates =
        (median(&of_database, |one| one.import.per_second), median(&of_file, |import| import.per_second));
    bench.table.add(beside_file(", from start to last upload", "rows/s", rates.0, rates.1));
    let cpu = (median(&of_database, |one| cpu_us(&one.import)), median(&of_file, cpu_us));
    bench.table.add(beside_file(", processor time of telecine for a row", "µs", cpu.0, cpu.1));
    let commits = median(&of_database, |one| one.commits) / rows;
    bench.table.figure(format!("{IMPORT}, commits for a row"), "commits", commits, Target::None);
    let log = median(&of_database, |one| one.log_bytes) / rows;
    bench.table.figure(format!("{IMPORT}, bytes of the log for a row"), "bytes", log, Target::None);
    let kept = median(&of_database, |one| {
        #[expect(clippy::cast_precision_loss, reason = "a figure to print")]
        let kept = one.import.ledger_bytes as f64;
        kept
    });
    bench.table.figure(
        format!("{IMPORT}, bytes of the ledger for a row"),
        "bytes",
        kept / rows,
        Target::None,
    );
    Ok(())
}

/// Imports into a schema of its own.
fn import_once(bench: &Bench, cluster: &Cluster, rows: u64, number: u32) -> Result<OnServer, String> {
    let folder = bench.place(rows)?;
    let schema = format!("bench_{number}");
    let ledger =
        format!("postgres://postgres@127.0.0.1:{}/postgres?schema={schema}&sslmode=disable", cluster.port);
    let counters = || -> Result<(u64, u64), String> {
        // the counters of a session are written at its end, or a moment later
        std::thread::sleep(std::time::Duration::from_secs(2));
        let commits =
            cluster.number("SELECT xact_commit FROM pg_stat_database WHERE datname = 'postgres'")?;
        Ok((commits, cluster.number("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn")?))
    };
    let before = counters()?;
    let mut import = imports::import_into(bench, &folder, &ledger, rows)?;
    let after = counters()?;
    let size = "SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class WHERE relkind = 'r'";
    import.ledger_bytes = cluster.number(&format!("{size} AND relnamespace = '{schema}'::regnamespace"))?;
    fs::remove_dir_all(&folder).map_err(words)?;
    #[expect(clippy::cast_precision_loss, reason = "figures to print")]
    let (commits, log_bytes) = ((after.0 - before.0) as f64, (after.1 - before.1) as f64);
    Ok(OnServer { import, commits, log_bytes })
}
