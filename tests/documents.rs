//! The documents: every command of their console blocks runs with the real binary, and every link leads to a file.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Stdio,
};

use crate::support::cli::{API_KEY, CliFixture, SandboxProcess, result_of, rows};

/// Commands that need more than this machine.
const ELSEWHERE: &[&str] = &["cargo ", "--probe", "export "];
/// What commands of documents may end with beside 0: bad rows, and rows that are left.
const CODES: &[i32] = &[0, 4, 8];

/// The lines of the console blocks of a page.
fn console_lines(page: &str) -> Vec<String> {
    let text = fs::read_to_string(page).unwrap();
    let mut lines = Vec::new();
    for block in text.split("```console\n").skip(1) {
        lines.extend(block.split("```").next().unwrap().lines().map(str::to_owned));
    }
    assert!(!lines.is_empty(), "{page} has no console block");
    lines
}

/// Runs the commands of a page one after the other, as a user who follows it.
fn follow(fixture: &CliFixture, page: &str) {
    let sandbox = SandboxProcess::start(fixture, &[]);
    let bin = Path::new(env!("CARGO_BIN_EXE_telecine")).parent().unwrap().to_owned();
    let mut folder = fixture.path(".");
    for line in console_lines(page) {
        if ELSEWHERE.iter().any(|part| line.contains(part)) {
            continue;
        }
        if !folder.join("archive.csv").exists() {
            fs::write(folder.join("archive.csv"), rows(5)).unwrap();
        }
        if fs::read(folder.join("memories.key")).is_ok_and(|key| key.is_empty()) {
            fs::write(folder.join("memories.key"), API_KEY).unwrap();
        }
        let mut shell = std::process::Command::new("sh");
        let usual = fixture.command(&[]);
        shell.env_clear().envs(usual.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell
            .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
            .env("HOME", fixture.path("home"))
            .env("MEMORIES_API_URL", &sandbox.url)
            .env("TELECINE_LIST_RATE", "20/s")
            .stdin(Stdio::null())
            .current_dir(&folder);
        let script =
            format!("{{ {}\n}}; code=$?; pwd > '{}'; exit $code", line, fixture.path("pwd").display());
        let (code, out, err) = result_of(&shell.args(["-c", &script]).output().unwrap());
        let is_absent_item = err.contains("there is no item 17");
        assert!(CODES.contains(&code) || is_absent_item, "{page}: {line}\nexit {code}\n{out}{err}");
        folder = PathBuf::from(fixture.read("pwd").trim());
    }
}

fn with_sample() -> CliFixture {
    let fixture = CliFixture::new();
    fs::create_dir(fixture.path("manifests")).unwrap();
    fs::copy("manifests/sample.csv", fixture.path("manifests/sample.csv")).unwrap();
    fixture
}

#[test]
fn a_new_user_who_follows_the_first_page_gets_everything_imported() {
    let fixture = with_sample();
    follow(&fixture, "docs/getting-started.md");
    let reports = fs::read_dir(fixture.path("archive/state/reports")).unwrap();
    let searchable = reports.map(|run| fs::read_to_string(run.unwrap().path().join("success.csv")).unwrap());
    assert!(searchable.map(|text| text.lines().count()).max() == Some(6), "five rows and the header");
    assert!(fixture.read("home/.local/share/man/man1/telecine.1").contains("telecine"));
}

#[test]
fn every_command_of_the_readme_runs() {
    follow(&with_sample(), "README.md");
}

#[test]
fn every_command_for_operators_runs() {
    let fixture = with_sample();
    fixture.write("archive.csv", &rows(2));
    let (code, _, err) =
        fixture.run(&["import", "archive.csv", "--sandbox", "--ledger", "state/telecine.db"]);
    assert_eq!(code, 0, "{err}");
    follow(&fixture, "docs/operating.md");
}

#[test]
fn every_command_for_several_accounts_runs() {
    let fixture = CliFixture::new();
    let page = fs::read_to_string("docs/accounts.md").unwrap();
    let settings = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    fixture.write("telecine.toml", settings);
    fs::create_dir(fixture.path("keys")).unwrap();
    let mut rows = Vec::new();
    for account in ["museum", "library", "theatre"] {
        let key = fixture.path(&fixture.write(&format!("keys/{account}.key"), &format!("key-of-{account}")));
        fs::set_permissions(key, fs::Permissions::from_mode(0o600)).unwrap();
        rows.push(format!("https://host/{account}.mp4,{account},cleared\n"));
    }
    fixture.write("archive.csv", &format!("url,customer,rights\n{}", rows.concat()));
    follow(&fixture, "docs/accounts.md");
    let reports = fs::read_dir(fixture.path("state/reports")).unwrap();
    let searchable = reports.map(|run| fs::read_to_string(run.unwrap().path().join("success.csv")).unwrap());
    assert_eq!(searchable.map(|text| text.lines().count() - 1).sum::<usize>(), 3, "a row of each account");
}

#[test]
fn every_command_for_buckets_runs() {
    follow(&CliFixture::new(), "docs/buckets.md");
}

#[test]
fn every_command_for_callbacks_runs() {
    follow(&CliFixture::new(), "docs/callbacks.md");
}

#[test]
fn every_command_for_local_files_runs() {
    follow(&CliFixture::new(), "docs/local-files.md");
}

#[test]
fn every_link_leads_to_a_file() {
    let docs = fs::read_dir("docs").unwrap().map(|entry| entry.unwrap().path());
    let pages = docs.chain(["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].map(PathBuf::from));
    let mut count = 0;
    for page in pages.filter(|page| page.extension().is_some_and(|ending| ending == "md")) {
        let text = fs::read_to_string(&page).unwrap();
        for target in text.split("](").skip(1).map(|rest| rest.split([')', ' ']).next().unwrap()) {
            let file = target.split('#').next().unwrap();
            if file.is_empty() || file.contains("://") {
                continue;
            }
            count += 1;
            assert!(page.parent().unwrap().join(file).exists(), "{}: {target}", page.display());
        }
    }
    assert!(count > 20, "{count}");
}
