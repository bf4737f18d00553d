//! What is refused before anything is sent, and what stops one account without the others.

use std::{fs, os::unix::fs::PermissionsExt as _};

use crate::support::{
    cli::{CliFixture, SandboxProcess},
    running::{Running, wait_for},
    service::{Answer, KEY, Service},
};

use super::{IMPORT, counts, manifest, settings, three, videos_of_customers};

#[test]
fn a_row_for_an_unknown_account_is_named_with_its_line_and_sent_to_nobody() {
    let fixture = CliFixture::new();
    let sandbox = SandboxProcess::start(&fixture, &[]);
    three(&fixture, &sandbox, "rate = \"50/s\"");
    fixture.write(
        "m.csv",
        "url,customer,tags\n\
         https://host/alpha/1.mp4,alpha,\n\
         https://host/alhpa/2.mp4,alhpa,cat\n\
         https://host/beta/3.mp4, beta ,\n\
         https://host/none/4.mp4,,\n\
         https://host/short/5.mp4,alpha\n\
         ftp://host/beta/6.mp4,beta,\n",
    );
    let (code, out, err) = fixture.run(IMPORT);
    assert_eq!(code, 4, "{out}{err}");
    assert!(err.contains("m.csv:3:2 customer: ") && err.contains("(alhpa); did you mean alpha?"), "{err}");
    assert!(err.contains("the accounts are alpha, beta, gamma"), "{err}");
    assert!(err.contains("m.csv:5:2 customer: the row names no account"), "{err}");
    assert!(
        err.contains("m.csv:6: the row has fewer cells"),
        "a row that cannot be read is for nobody: {err}"
    );
    assert_eq!(videos_of_customers(&sandbox), counts(&[("alpha", 1), ("beta", 1)]));
    assert!(out.contains("for no account: 3 rows, not sent: state/reports/"), "{out}");
    // the row that beta cannot send is in the report of beta alone
    let reports: Vec<(String, String)> = fs::read_dir(fixture.path("state/reports"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.display().to_string(), fs::read_to_string(path.join("rejects.csv")).unwrap()))
        .collect();
    let with = |part: &str| {
        let found: Vec<&String> =
            reports.iter().filter(|(_, text)| text.contains(part)).map(|(path, _)| path).collect();
        assert_eq!(found.len(), 1, "{part} is in one report: {reports:?}");
        found[0].clone()
    };
    let account_of =
        |path: &str| path.rsplit_once("Z-").unwrap().1.split_once('.').map(|(_, name)| name.to_owned());
    assert_eq!(account_of(&with("6.mp4")), Some("beta".to_owned()));
    for row in ["2.mp4", "4.mp4", "5.mp4"] {
        assert_eq!(account_of(&with(row)), None, "{row}");
    }
    // the file is corrected and imported as it is
    let path = with("2.mp4") + "/rejects.csv";
    let text = fs::read_to_string(&path).unwrap().replace("alhpa,cat", "gamma,cat");
    fs::write(fixture.path("again.csv"), text).unwrap();
    let (code, out, err) =
        fixture.run(&["import", "again.csv", "--map", "account=customer", "--list-rate", "500/s"]);
    assert!(code == 4 && out.contains("gamma  1 row, exit 0"), "{out}{err}");
    assert!(err.contains("again.csv:3:2 customer: the row names no account"), "{err}");
    // the short row has its cells written out in that file
    let sent: Vec<String> = sandbox.accepted_counts().into_keys().collect();
    let of = |customer: &str, row| format!("https://host/{customer}/{row}.mp4");
    assert_eq!(sent, [of("alhpa", 2), of("alpha", 1), of("beta", 3), of("short", 5)]);
}

#[test]
fn one_key_or_one_ledger_for_two_accounts_is_refused_with_both_names() {
    let fixture = CliFixture::new();
    let sandbox = SandboxProcess::start(&fixture, &[]);
    let more = format!("api-url = \"{}\"", sandbox.url);
    settings(
        &fixture,
        &[("alpha", "key-of-a-0", &more), ("beta", "key-of-b-0", &more), ("gamma", "key-of-a-0\n", &more)],
    );
    fixture.write("m.csv", &manifest(&["alpha", "beta", "gamma"]));
    let (code, out, err) = fixture.run(IMPORT);
    assert_eq!(code, 2, "{out}{err}");
    assert!(err.contains("alpha and gamma have the same API key"), "{err}");
    // only accounts that the manifest names are compared
    fixture.write("m.csv", &manifest(&["alpha", "beta"]));
    let (code, out, err) = fixture.run(&[IMPORT, &["--ledger", "one.db"]].concat());
    assert!(code == 2 && err.contains("alpha and beta have the same ledger one.db"), "{out}{err}");
    assert!(sandbox.recorded().is_empty() && !fixture.path("one.db").exists());
    let (code, out, err) = fixture.run(&[IMPORT, &["--rate", "50/s"]].concat());
    assert_eq!(code, 0, "{out}{err}");
}

#[test]
fn what_cannot_work_for_several_accounts_is_refused_before_anything_is_sent() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &manifest(&["alpha"]));
    let refused = |args: &[&str], what: &str| {
        let (code, out, err) = fixture.run(args);
        assert!(code == 2 && err.contains(what), "{args:?}: {code} {out}{err}");
    };
    refused(IMPORT, "no settings file defines one");
    settings(&fixture, &[("alpha", "key-of-a-0", "api-url = \"http://127.0.0.1:9\"")]);
    refused(&["import", "-", "--map", "account=customer", "--map", "url=url"], "can be read once only");
    refused(&[IMPORT, &["--dashboard"]].concat(), "--dashboard is for one account");
    refused(&[IMPORT, &["--plan-id", "0123456789abcdef"]].concat(), "--plan-id is for one account");
    refused(&[IMPORT, &["--dry-run"]].concat(), "select it with --account NAME");
    for command in ["rehearse", "recover"] {
        refused(&[command, "m.csv", "--map", "account=customer"], "select it with --account NAME");
    }
    // where the settings of an account leave the rule out, every row would be for it
    let text = fixture.read("telecine.toml")
        + "map = \"url=url\"\n[manifest.\"m.csv\"]\nmap = \"account=customer\"\n";
    fixture.write("telecine.toml", &text);
    refused(&["import", "m.csv"], "the settings of the account alpha map the account in another way");
}

#[test]
fn a_manifest_that_is_replaced_before_the_runs_begin_stops_the_import_and_nothing_is_sent() {
    let fixture = CliFixture::new();
    let service = Service::start(Answer::Accept);
    // the key of the first account comes when its manifest is open, and that of the second is not
    let command = format!("test -e new.csv && mv new.csv m.csv; echo {KEY}");
    let address = format!("api-url = \"{}\"\nrate = \"50/s\"", service.url);
    let text = format!(
        "[account.alpha]\nkey-command = \"{command}\"\n{address}\n[account.beta]\nkey-command = \"echo {KEY}-b\"\n{address}\n"
    );
    fixture.write("telecine.toml", &text);
    fs::set_permissions(fixture.path("telecine.toml"), fs::Permissions::from_mode(0o600)).unwrap();
    fixture.write("m.csv", &manifest(&["alpha", "beta"]));
    fixture.write("new.csv", &manifest(&["alpha", "beta", "alpha", "beta"]));
    let (code, out, err) = fixture.run(IMPORT);
    assert!(
        code == 5 && format!("{out}{err}").contains("was replaced or written between two readings"),
        "{out}{err}"
    );
    assert_eq!(service.uploads(), 0);
    // the same command again imports the new file
    let (code, out, err) = fixture.run(IMPORT);
    assert!(out.contains("alpha  2 rows"), "{code} {out}{err}");
}

#[test]
fn the_readable_rows_of_a_broken_manifest_are_sent_as_those_for_one_account_are() {
    use std::io::Write as _;
    let fixture = CliFixture::new();
    let sandbox = SandboxProcess::start(&fixture, &[]);
    three(&fixture, &sandbox, "rate = \"500/s\"");
    let customers: Vec<&str> = (0..400).map(|row| ["alpha", "beta"][row % 2]).collect();
    let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    zipped.write_all(manifest(&customers).as_bytes()).unwrap();
    let zipped = zipped.finish().unwrap();
    fs::write(fixture.path("m.csv"), &zipped[..zipped.len() / 2]).unwrap();
    let (code, out, err) = fixture.run(IMPORT);
    assert!(code == 4 && out.contains("reading the manifest failed"), "{code} {out}{err}");
    let sent = videos_of_customers(&sandbox);
    let (alpha, beta) = (sent["alpha"], sent["beta"]);
    assert!(alpha > 10 && alpha.abs_diff(beta) <= 1 && alpha + beta < 400, "{sent:?}");
    assert!(out.contains(&format!("alpha  {alpha} rows, exit 4")), "{out}");
    // check and plan name the error, as they do for one account
    for command in ["check", "plan"] {
        let (code, out, err) = fixture.run(&[command, "m.csv", "--map", "account=customer"]);
        assert!(
            code == 3 && format!("{out}{err}").contains("reading the manifest failed"),
            "{code} {out}{err}"
        );
    }
    // nothing at all can be read of this one
    fs::write(fixture.path("m.csv"), &zipped[..20]).unwrap();
    let (code, out, err) = fixture.run(IMPORT);
    assert_eq!(code, 3, "{out}{err}");
}

#[test]
fn an_account_whose_ledger_is_in_use_does_not_stop_the_others() {
    let fixture = CliFixture::new();
    let sandbox = SandboxProcess::start(&fixture, &[]);
    three(&fixture, &sandbox, "rate = \"1/1000s\"");
    fixture.write("m.csv", &manifest(&["alpha", "alpha", "beta"]));
    let first = Running::start(&fixture, &[IMPORT, &["--account", "alpha"]].concat());
    wait_for("the first upload", || sandbox.recorded().len() == 1);
    let (code, out, err) = fixture.run(IMPORT);
    assert_eq!(code, 12, "{out}{err}");
    assert!(out.contains("alpha  2 rows, exit 12: ") && out.contains("beta   1 row, exit 0: "), "{out}");
    assert_eq!(videos_of_customers(&sandbox), counts(&[("alpha", 1), ("beta", 1)]));
    drop(first);
}
