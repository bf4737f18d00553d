//! `cargo xtask dist`: the archive of a release: the binary, the completions of each shell, the manual and example units.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What the archive is made in; the package for Debian takes its files from there.
const FOLDER: &str = "target/dist";
/// The shells, and how the file of completions is named.
const COMPLETIONS: &[(&str, &str)] = &[
    ("bash", "telecine.bash"),
    ("zsh", "_telecine"),
    ("fish", "telecine.fish"),
    ("powershell", "_telecine.ps1"),
    ("elvish", "telecine.elv"),
];
/// Files of the repository that belong to a release.
const FILES: &[&str] = &[
    "README.md",
    "CHANGELOG.md",
    "LICENSE-MIT",
    "LICENSE-APACHE",
    "docs/systemd/telecine-import.service",
    "docs/systemd/telecine-import.timer",
];

/// Makes the archive, and says where it is. Without `--binary` the release is built first.
pub(crate) fn run(mut args: impl Iterator<Item = String>) -> Result<bool, String> {
    let binary = match args.next().as_deref() {
        Some("--binary") => PathBuf::from(args.next().ok_or("--binary needs a path")?),
        Some(other) => return Err(format!("dist does not know {other}")),
        None => {
            output_of(Command::new("cargo").args(["build", "--release", "--locked"]))?;
            PathBuf::from("target/release/telecine")
        }
    };
    let version = output_of(Command::new(&binary).args(["version", "--json"]))?;
    let version: serde_json::Value = serde_json::from_str(&version).map_err(|error| error.to_string())?;
    let field = |name: &str| version[name].as_str().map(str::to_owned).ok_or(format!("no {name}"));
    if version["features"].as_array().is_none_or(|features| !features.is_empty()) {
        return Err("a release is built without features".to_owned());
    }
    let name = format!("telecine-{}-{}", field("version")?, field("system")?);
    let folder = Path::new(FOLDER).join("telecine");
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(|error| error.to_string())?;
    }
    fill(&folder, &binary)?;
    let archive = format!("{name}.tar.gz");
    let renamed = format!("s,^telecine,{name},");
    let mut tar = Command::new("tar");
    tar.args(["--create", "--gzip", "--owner=0", "--group=0", "--sort=name", "--transform", &renamed]);
    output_of(tar.args(["--file", &archive, "telecine"]).current_dir(FOLDER))?;
    let sum = output_of(Command::new("sha256sum").arg(&archive).current_dir(FOLDER))?;
    fs::write(Path::new(FOLDER).join(format!("{archive}.sha256")), sum).map_err(|error| error.to_string())?;
    println!("{FOLDER}/{archive}");
    Ok(true)
}

fn fill(folder: &Path, binary: &Path) -> Result<(), String> {
    let error = |error: std::io::Error| error.to_string();
    let completions = folder.join("completions");
    fs::create_dir_all(&completions).map_err(error)?;
    for (shell, file) in COMPLETIONS {
        let text = output_of(Command::new(binary).args(["completions", shell]))?;
        fs::write(completions.join(file), text).map_err(error)?;
    }
    output_of(Command::new(binary).args(["man", "--dir"]).arg(folder.join("man1")))?;
    fs::copy(binary, folder.join("telecine")).map_err(error)?;
    for file in FILES {
        let name = Path::new(file).file_name().unwrap_or_default();
        fs::copy(file, folder.join(name)).map_err(|cause| format!("{file}: {cause}"))?;
    }
    Ok(())
}

/// The standard output of a command that must succeed.
fn output_of(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)))
}
