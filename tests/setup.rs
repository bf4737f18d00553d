//! Getting started, with the real binary: settings, the doctor, completions, the manual, and the words of first mistakes.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Stdio};

use crate::support::cli::{self, API_KEY, CliFixture, SandboxProcess, rows, skipped};
use serde_json::Value;

#[test]
fn init_writes_settings_that_can_be_read_and_overwrites_nothing() {
    let fixture = CliFixture::new();
    let init = |args: &[&str]| {
        let mut command = fixture.command(&[&["init"], args].concat());
        cli::result_of(&command.stdin(Stdio::null()).output().unwrap())
    };
    let (code, _, err) = init(&[]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(fixture.run(&["config"]).0, 0, "all is a comment");
    let before = fixture.read("telecine.toml");
    let (code, _, err) = init(&["--rate", "9/s"]);
    assert!(code == 2 && err.contains("overwrites nothing"), "{err}");
    assert_eq!(fixture.read("telecine.toml"), before);
    fs::remove_file(fixture.path("telecine.toml")).unwrap();
    assert_eq!(
        init(&["--api-url", "http://example.com"]).0,
        2,
        "an address that could not be used is not written"
    );
    let url = "https://api.example.com";
    let (code, out, err) =
        init(&["--name", "main", "--api-url", url, "--key-file", "a \"b\".key", "--rate", "1/s"]);
    assert_eq!(code, 0, "{err}");
    assert!(
        out.contains("`telecine config --account main`") && out.contains("`telecine doctor --account main`")
    );
    let (code, out, err) = fixture.run(&["config", "--account", "main"]);
    assert!(
        code == 0 && out.contains(url) && out.contains("1/s") && out.contains("a \"b\".key"),
        "{out}{err}"
    );
    // each of its comments is a setting that holds once it is no comment
    let text = fixture.read("telecine.toml");
    let open = |line: &str| {
        line.strip_prefix("# ")
            .filter(|rest| rest.contains(" = ") || rest.starts_with('['))
            .map(str::to_owned)
    };
    let all: Vec<String> = text.lines().map(|line| open(line).unwrap_or_else(|| line.to_owned())).collect();
    fixture.write("telecine.toml", &all.join("\n"));
    let (code, out, err) = fixture.run(&["config", "--account", "main"]);
    assert!(code == 0 && out.contains("120/2h"), "{out}{err}");
}

#[test]
fn the_doctor_finds_what_is_wrong_and_uploads_nothing() {
    let fixture = CliFixture::new();
    let sandbox = SandboxProcess::start(&fixture, &[]);
    let doctor = |args: &[&str]| -> (i32, Vec<(String, String, String)>) {
        let (code, out, err) = fixture.run(&[&["doctor", "--json"], args].concat());
        let end: Value = serde_json::from_str(out.lines().last().unwrap_or_else(|| panic!("{err}"))).unwrap();
        let text = |check: &Value, name: &str| check[name].as_str().unwrap_or_default().to_owned();
        let checks = end["checks"].as_array().unwrap_or_else(|| panic!("{end}")).iter();
        (
            code,
            checks
                .map(|check| (text(check, "name"), text(check, "level"), text(check, "next_step")))
                .collect(),
        )
    };
    let errors = |checks: &[(String, String, String)]| -> Vec<String> {
        let bad = checks.iter().filter(|(_, level, next)| level == "error" && !next.is_empty());
        bad.map(|(name, ..)| name.clone()).collect()
    };
    let (code, checks) = doctor(&["--api-url", &sandbox.url]);
    assert_eq!((code, errors(&checks)), (0, vec![]), "{checks:?}");
    for name in ["key", "clock", "ledger", "disk", "limits", "proxy", "settings"] {
        assert!(checks.iter().any(|(found, ..)| found == name), "{name}: {checks:?}");
    }
    assert!(!fixture.path("state").exists(), "nothing is left behind");
    let (code, checks) = doctor(&["--key-file", "none"]);
    assert_eq!((code, errors(&checks)), (7, vec!["key".to_owned()]));
    let advice = |file: &str| {
        let (_, checks) = doctor(&["--key-file", file]);
        checks.into_iter().find(|(name, ..)| name == "key").unwrap().2
    };
    assert!(advice("none").contains("correct the path"), "{}", advice("none"));
    fixture.write("open.key", "key");
    fs::set_permissions(fixture.path("open.key"), fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(advice("open.key"), "run: chmod 600 open.key");
    fixture.write("two.key", "NAME=x\nkey");
    fs::set_permissions(fixture.path("two.key"), fs::Permissions::from_mode(0o600)).unwrap();
    assert!(advice("two.key").contains("on one line"), "{}", advice("two.key"));
    let (code, checks) = doctor(&["--api-url", "http://127.0.0.1:9"]);
    assert_eq!((code, errors(&checks)), (7, vec!["service".to_owned()]));
    fixture.write("broken.db", "this is no ledger");
    let (code, checks) = doctor(&["--api-url", &sandbox.url, "--ledger", "broken.db"]);
    assert_eq!((code, errors(&checks)), (2, vec!["ledger".to_owned()]), "{checks:?}");
    fixture.write("m.csv", &rows(1));
    fixture.run(&["import", "m.csv", "--sandbox", "--ledger", "other.db"]);
    let (code, checks) = doctor(&["--api-url", &sandbox.url, "--ledger", "other.db"]);
    assert_eq!(
        (code, errors(&checks)),
        (2, vec!["ledger".to_owned()]),
        "it is of another service: {checks:?}"
    );
    let (code, out, err) = fixture.run(&["doctor", "--api-url", &sandbox.url]);
    assert!(code == 0 && out.ends_with("an import can run here\n"), "{out}{err}");
    assert!(!out.contains(API_KEY));
    assert_eq!(sandbox.uploads(), 0);
}

#[test]
fn a_key_that_is_refused_and_a_clock_that_is_wrong_are_found() {
    let fixture = CliFixture::in_real_time();
    let listening = |body: &'static str| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming().map(Result::unwrap) {
                use std::io::{Read as _, Write as _};
                let mut stream = stream;
                let _ = stream.read(&mut [0; 4096]);
                let head = "HTTP/1.1 200 OK\r\ndate: Sat, 31 Jan 2026 12:00:00 GMT\r\nconnection: close\r\n";
                let _ = write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len());
            }
        });
        url
    };
    let refusing = listening(r#"{"code":"401","msg":"invalid api key","failed":true,"success":false}"#);
    let (code, out, _) = fixture.run(&["doctor", "--api-url", &refusing]);
    assert!(code == 7 && out.contains("the service refuses the API key"), "{out}");
    let late = listening(
        r#"{"code":"0000","code":"200","msg":"success","failed":false,"success":true,"data":{"videos":[],"total_count":0}}"#,
    );
    let (code, out, _) = fixture.run(&["doctor", "--api-url", &late]);
    assert!(code == 0 && out.contains("warning  clock") && out.contains("set-ntp"), "{out}");
}

#[test]
fn there_are_completions_for_each_shell_and_a_page_of_the_manual_for_each_command() {
    let fixture = CliFixture::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let (code, out, err) = fixture.run(&["completions", shell]);
        assert!(code == 0 && out.contains("acknowledge") && out.contains("retry-failed"), "{shell}: {err}");
        if shell == "bash" {
            fixture.write("completions.bash", &out);
        }
    }
    match std::process::Command::new("bash").arg("-n").arg(fixture.path("completions.bash")).output() {
        Ok(read) => assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr)),
        Err(_) => skipped("bash is not installed"),
    }
    let (code, _, err) = fixture.run(&["man", "--dir", "pages"]);
    assert_eq!(code, 0, "{err}");
    let (_, help, _) = fixture.run(&["-h"]);
    let commands =
        help.lines().filter_map(|line| line.strip_prefix("  ")).filter(|line| !line.starts_with(['-', ' ']));
    let commands: Vec<&str> = commands.filter_map(|line| line.split(' ').next()).collect();
    assert!(commands.len() > 20, "{help}");
    for command in commands {
        let page = fixture.read(&format!("pages/telecine-{command}.1"));
        assert!(page.contains("Examples:"), "{command}: {page}");
    }
    let pages: Vec<_> =
        fs::read_dir(fixture.path("pages")).unwrap().map(|page| page.unwrap().path()).collect();
    assert!(pages.len() > 30, "{pages:?}");
    for path in pages {
        let page = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = page.lines().collect();
        let is_flag = |line: &str| line.starts_with("\\fB\\-");
        for pair in lines.windows(2).filter(|pair| is_flag(pair[0])) {
            let has_text = !pair[1].starts_with('.') && !pair[1].starts_with("May also");
            assert!(has_text, "{}: {} has no text", path.display(), pair[0]);
        }
    }
    assert!(fixture.run(&["man"]).1.contains(".TH telecine 1"));
    let (_, version, _) = fixture.run(&["version", "--json"]);
    let version: Value = serde_json::from_str(&version).unwrap();
    assert_eq!((version["version"].as_str(), version["ledger_schema"].as_i64()), (Some("0.1.0"), Some(1)));
}

#[test]
fn a_rule_of_the_settings_that_does_not_fit_another_file_is_named_with_its_line() {
    let fixture = CliFixture::new();
    fixture.write("telecine.toml", "# rules\nmap = [\"url=link\"]\n");
    fixture.write("m.csv", &rows(1));
    let (code, _, err) = fixture.run(&["check", "m.csv"]);
    assert!(code == 3 && err.contains("no column link"), "{err}");
    assert!(err.contains("telecine.toml:2 sets map") && err.contains("[manifest."), "{err}");
    let (_, _, err) = fixture.run(&["check", "m.csv", "--config", "/dev/null", "--map", "url=link"]);
    assert!(err.contains("no column link") && !err.contains("sets map"), "{err}");
}

#[test]
fn a_path_on_this_machine_is_not_sent_by_itself_and_the_fix_says_what_to_do() {
    let fixture = CliFixture::new();
    for path in
        ["/videos/a.mp4", "file:///videos/a.mp4", r"C:\videos\a.mp4", r"\\nas\a.mp4", "../a.mp4", "~/a.mp4"]
    {
        fixture.write("m.csv", &format!("link\n{path}\n"));
        let (code, out, err) = fixture.run(&["check", "m.csv", "--map", "url=link"]);
        assert!(code == 3 || code == 4, "{out}{err}");
        let said = out + &err;
        assert!(
            said.contains("name the folder that files may be sent from: --files-root DIR")
                && said.contains("url={link|replace"),
            "{path}: {said}"
        );
    }
    fixture.write("m.csv", "link\n//host/a.mp4\nhost/a.mp4\n");
    let (_, out, _) = fixture.run(&["check", "m.csv", "--map", "url=link"]);
    assert!(!out.contains("name the folder that files may be sent from"), "{out}");
}

#[test]
fn advice_to_raise_the_limits_is_given_only_before_the_first_refusal() {
    let fixture = CliFixture::new();
    let sandbox = SandboxProcess::start(&fixture, &["--rate", "1/min", "--cap", "2/h"]);
    fixture.write("m.csv", &rows(8));
    let args =
        ["import", "m.csv", "--api-url", &sandbox.url, "--ledger", "l.db", "--rate", "2/min", "--for", "4m"];
    let advice = "raise the limits if your account allows more";
    let (_, _, err) = fixture.run(&args);
    assert!(err.contains(advice), "{err}");
    let (_, _, err) = fixture.run(&args);
    assert!(err.contains("left to send at") && !err.contains(advice), "{err}");
}

#[test]
fn the_last_attempt_without_a_network_does_not_promise_another_one() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(1));
    let (code, out, err) =
        fixture.run(&["import", "m.csv", "--api-url", "http://127.0.0.1:9", "--ledger", "l.db"]);
    assert_eq!(code, 5, "{err}");
    assert_eq!(err.matches("trying again then").count(), 3, "{err}");
    assert!(out.contains("giving up after 4 attempts"), "{out}");
}

#[test]
fn a_key_command_that_fails_shows_why() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(1));
    let (code, _, err) =
        fixture.run(&["import", "m.csv", "--key-command", "echo the vault is sealed >&2; exit 3"]);
    assert!(code == 7 && err.contains("the vault is sealed"), "{err}");
}

#[test]
fn an_old_excel_workbook_is_named_with_what_to_do_instead() {
    let fixture = CliFixture::new();
    fs::write(fixture.path("m.xls"), b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0").unwrap();
    let (code, _, err) = fixture.run(&["check", "m.xls"]);
    assert!(
        code == 3 && err.contains("Excel") && err.contains("save the sheet as CSV UTF-8, or as .xlsx"),
        "{err}"
    );
}

#[test]
fn a_mistyped_table_key_or_time_and_a_port_in_use_are_named_with_what_is_meant() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(1));
    for (settings, hint) in [
        ("[acount.main]\nrate = \"1/s\"\n", "did you mean [account.NAME]?"),
        ("[imprt]\nrate = \"1/s\"\n", "did you mean [import]?"),
        ("[manifest.\"m.csv\"]\nmpa = [\"url=link\"]\n", "did you mean map?"),
    ] {
        fixture.write("telecine.toml", settings);
        let (code, _, err) = fixture.run(&["check", "m.csv"]);
        assert!(code == 2 && err.contains(hint), "{settings}: {err}");
    }
    fs::remove_file(fixture.path("telecine.toml")).unwrap();
    let (code, _, err) = fixture.run(&["plan", "m.csv", "--rate", "1/x"]);
    assert!(code == 2 && err.contains("\"x\" is not a time") && err.contains("1/min"), "{err}");
    let (code, out, err) = fixture.run(&["plan", "m.csv", "--rate", "2/s", "--price", "2"]);
    assert!(
        code == 0 && out.contains("next: telecine import m.csv --rate 2/s --price 2 --plan-id "),
        "{out}{err}"
    );
    assert_eq!(fixture.run(&["import", "m.csv", "--sandbox", "--quiet"]).0, 0);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, _, err) = fixture.run(&["dashboard", "--sandbox", "--listen", &address]);
    assert!(code == 2 && err.contains("--listen 127.0.0.1:0") && err.contains("free port"), "{err}");
}

#[test]
fn a_message_about_a_wrong_word_names_what_is_wrong_and_what_is_allowed() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(1));
    fixture.write("words.txt", "foo bar\nbaz\n");
    fs::create_dir(fixture.path("folder")).unwrap();
    for (args, code, text) in [
        (&["check", "m.csv", "--max-errors", "0"][..], 2, "expected a whole number, 1 or more"),
        (&["quota", "spend", "abc"], 2, "expected a whole number from 1 to 1000000"),
        (&["dashboard", "--listen", "here"], 2, "expected an IP address and a port, such as 127.0.0.1:8088"),
        (&["list", "--state", "searchable"], 2, "deleted; did you mean indexed?"),
        (&["check", "m.csv", "--join", "no.csv:id"], 3, "cannot open the file of --join, no.csv"),
        (&["check", "zz*.csv"], 3, "no file matches the pattern zz*.csv"),
        (
            &["status", "--ledger", "folder"],
            2,
            "cannot read the ledger folder: it is a folder, and a ledger is a file",
        ),
        (&["guess", "words.txt"], 3, "next: telecine check words.txt --map url=COLUMN"),
    ] {
        let (found, out, err) = fixture.run(args);
        assert!(found == code && (out.clone() + &err).contains(text), "{args:?}: {found} {out}{err}");
        assert!(!out.contains("telecine guess proposes"), "{out}");
    }
    fixture.write("telecine.toml", "\nrate = 15/s\n");
    let (code, _, err) = fixture.run(&["config"]);
    assert!(
        code == 2 && err.contains("telecine.toml:2: a text must be in quotes, such as rate = \"15/s\""),
        "{err}"
    );
    fixture.write("telecine.toml", "[account.main]\n[account.other]\n");
    let (code, _, err) = fixture.run(&["status"]);
    assert!(code == 2 && err.contains("choose one with --account NAME (main, other)"), "{err}");
}

#[test]
fn a_variable_with_a_wrong_word_or_a_wrong_name_is_named() {
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(1));
    let with = |name: &str, value: &str| {
        cli::result_of(&fixture.command(&["check", "m.csv"]).env(name, value).output().unwrap())
    };
    let (code, _, err) = with("TELECINE_JSON", "maybe");
    assert!(
        code == 2 && err.contains("the variable TELECINE_JSON takes 1, 0, true, false, yes and no"),
        "{err}"
    );
    let (code, _, err) = with("TELECINE_MPA", "url=url");
    assert!(
        code == 0 && err.contains("TELECINE_MPA has no effect") && err.contains("did you mean TELECINE_MAP?"),
        "{err}"
    );
}

#[test]
fn init_says_that_the_key_file_is_not_there_yet() {
    let fixture = CliFixture::new();
    let mut command = fixture.command(&["init", "--key-file", "none.key"]);
    let (code, _, err) = cli::result_of(&command.stdin(Stdio::null()).output().unwrap());
    assert!(code == 0 && err.contains("there is no key file none.key yet"), "{err}");
    assert!(fixture.read("telecine.toml").contains("key-file = \"none.key\""));
}

#[test]
fn an_error_names_the_variable_or_the_argument_that_is_wrong() {
    use std::os::unix::ffi::OsStrExt as _;
    let fixture = CliFixture::new();
    fixture.write("m.csv", &rows(1));
    let with = |name: &str, value: &str, args: &[&str]| {
        cli::result_of(&fixture.command(args).env(name, value).output().unwrap())
    };
    let plan = ["plan", "m.csv", "--sandbox"];
    let (code, _, err) = with("TELECINE_RATE", "abc", &plan);
    assert!(code == 2 && err.contains("for 'TELECINE_RATE'") && !err.contains("--rate"), "{err}");
    let (_, _, err) = with("TELECINE_RATE", "1/s", &[&plan[..], &["--rate", "abc"]].concat());
    assert!(err.contains("for '--rate"), "{err}");
    let cron = ["import", "m.csv", "--sandbox", "--cron", "--out-dir", "out"];
    let (_, _, err) = with("TELECINE_RAET", "1/s", &cron);
    assert!(err.contains("did you mean TELECINE_RATE?"), "{err}");
    let (code, out, _) = fixture.run(&["import", "--json"]);
    let end: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert!(code == 2 && end["reason"].as_str().unwrap().contains("<MANIFEST>"), "{end}");
    let mut foreign = fixture.command(&["plan", "--sandbox"]);
    let (code, _, err) =
        cli::result_of(&foreign.arg(std::ffi::OsStr::from_bytes(b"caf\xe9.csv")).output().unwrap());
    assert!(code == 2 && err.contains("caf\u{fffd}.csv is not UTF-8") && err.contains("rename"), "{err}");
    let (code, _, err) = fixture.run(&["ledger", "check", "m.db"]);
    assert!(code == 2 && err.contains("a ledger is named with --ledger m.db"), "{err}");
    fixture.write("twice.toml", "rate = \"1/s\"\n[import]\nwait = \"1h\"\nwait = \"2h\"\n");
    let (code, _, err) = fixture.run(&["config", "import", "--config", "twice.toml"]);
    assert!(code == 2 && err.contains("twice.toml:4: wait is set already in line 3"), "{err}");
    let (code, _, err) = with("TELECINE_WAIT", "0s", &["import", "m.csv", "--sandbox"]);
    assert!(code == 2 && err.contains("more than 0"), "{err}");
}
