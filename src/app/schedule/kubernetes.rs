//! Objects of Kubernetes, as YAML: a job, now or at a time of the day, two pods with a ledger in PostgreSQL, or one pod with a file.

use std::fmt::Write as _;

use super::{NEEDS_HUMAN, PAUSES, ScheduledCommand, numbers};
use crate::ledger::DatabaseAddress;

/// What runs the command in Kubernetes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KubernetesKind {
    /// A job that runs once, now.
    Job,
    /// A job at a time of the day.
    CronJob,
    /// Two pods on two nodes: one sends, the other waits for the lease of the ledger.
    Deployment,
    /// One pod, with the ledger in a file of its volume.
    StatefulSet,
}

/// The object. An error says what the command lacks.
pub fn kubernetes(command: &ScheduledCommand, kind: KubernetesKind) -> Result<String, String> {
    match kind {
        KubernetesKind::Job => Ok(job(command)),
        KubernetesKind::CronJob => Ok(cron_job(command)),
        KubernetesKind::Deployment => deployment(command),
        KubernetesKind::StatefulSet => stateful_set(command),
    }
}

fn name_of(command: &ScheduledCommand) -> String {
    format!("telecine-{}", command.arguments.first().map_or("run", String::as_str))
}

/// The lines of the container, without its volumes. `indent` is that of its name.
fn container(command: &ScheduledCommand, more: &[&str], has_password: bool, indent: usize) -> String {
    let arguments: Vec<String> = command
        .arguments
        .iter()
        .map(String::as_str)
        .chain(more.iter().copied())
        .map(|argument| serde_json::Value::from(argument).to_string())
        .collect();
    let version = env!("CARGO_PKG_VERSION");
    let secret = |variable: &str, name: &str, key: &str| {
        format!(
            "    - name: {variable}\n      valueFrom:\n        secretKeyRef:\n          name: {name}\n          key: {key}\n"
        )
    };
    let password =
        if has_password { secret("PGPASSWORD", "telecine-ledger", "password") } else { String::new() };
    let lines = format!(
        "- name: telecine\n  image: telecine:{version}\n  workingDir: /data\n  args: [{}]\n  env:\n{}{password}",
        arguments.join(", "),
        secret("MEMORIES_API_KEY", "telecine", "api-key"),
    );
    indented(&lines, indent)
}

fn indented(lines: &str, indent: usize) -> String {
    let mut text = String::new();
    for line in lines.lines() {
        let _ = writeln!(text, "{:indent$}{line}", "");
    }
    text
}

/// A job that runs for weeks loses its pod several times.
const JOB_RETRIES: u32 = 20;
/// The next night comes.
const NIGHT_RETRIES: u32 = 3;

const KEY: &str = "# The key: kubectl create secret generic telecine --from-file=api-key=memories.key\n";

/// The comments before a job.
fn job_notes(command: &ScheduledCommand) -> String {
    let password = if is_in_database(command) { PASSWORD } else { "" };
    format!(
        "{KEY}{password}# The manifest, telecine.toml and a ledger that is a file are in the volume, which is the working folder.\n"
    )
}

/// What a job does, at the margin. A pod that fails is begun again `retries` times.
fn job_spec(command: &ScheduledCommand, retries: u32) -> String {
    let mut fails = numbers(NEEDS_HUMAN, ", ");
    if !command.has("--cron") {
        // a pause is no success for Kubernetes, but must not be tried again at once
        fails = format!("{fails}, {}", numbers(PAUSES, ", "));
    }
    format!(
        "backoffLimit: {retries}\npodFailurePolicy:\n  rules:\n    # these need a human: to run the command again changes nothing\n    \
         - action: FailJob\n      onExitCodes:\n        containerName: telecine\n        operator: In\n        \
         values: [{fails}]\n    - action: Ignore\n      onPodConditions:\n        - type: DisruptionTarget\n          \
         status: \"True\"\ntemplate:\n  spec:\n    restartPolicy: Never\n    \
         # the answers of requests in flight are waited for\n    terminationGracePeriodSeconds: 300\n    \
         containers:\n{container}        volumeMounts:\n          - name: data\n            mountPath: /data\n    \
         volumes:\n      - name: data\n        persistentVolumeClaim:\n          claimName: telecine\n",
        container = container(command, &[], is_in_database(command), 6),
    )
}

fn job(command: &ScheduledCommand) -> String {
    format!(
        "{notes}# It ends when the import has ended. To import again: kubectl replace --force -f FILE\n\
         apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: {name}\nspec:\n{spec}",
        notes = job_notes(command),
        name = name_of(command),
        spec = indented(&job_spec(command, JOB_RETRIES), 2),
    )
}

fn cron_job(command: &ScheduledCommand) -> String {
    let (hour, minute) = command.at;
    format!(
        "{cron}{notes}apiVersion: batch/v1\nkind: CronJob\nmetadata:\n  name: {name}\nspec:\n  schedule: \"{minute} {hour} * * *\"\n  \
         timeZone: Etc/UTC\n  concurrencyPolicy: Forbid\n  jobTemplate:\n    spec:\n{spec}",
        cron = command.cron_note(),
        notes = job_notes(command),
        name = name_of(command),
        spec = indented(&job_spec(command, NIGHT_RETRIES), 6),
    )
}

const PASSWORD: &str = "# The password of the database: kubectl create secret generic telecine-ledger --from-file=password=FILE\n\
                        # The file has the password only, without a line break.\n";

/// What pods that run all the time do when their command ends.
const AGAIN: &str = "# The command is begun again whenever it ends, with growing pauses of up to 5 minutes: it reads its manifest again, and sends\n\
                     # what is new. That also holds for exit codes that need a human: watch them.\n";

fn is_in_database(command: &ScheduledCommand) -> bool {
    command.value_of("--ledger").is_some_and(DatabaseAddress::is_address)
}

fn refuse_other_than_import(command: &ScheduledCommand, kind: &str) -> Result<(), String> {
    match command.arguments.first().map(String::as_str) {
        Some("import") => Ok(()),
        _ => Err(format!("a {kind} runs an import all the time; for other commands leave --kind out")),
    }
}

fn deployment(command: &ScheduledCommand) -> Result<String, String> {
    refuse_other_than_import(command, "Deployment")?;
    if !is_in_database(command) {
        return Err("the pods of a Deployment share a ledger in PostgreSQL: add --ledger \
                    'postgres://user@host/database?schema=NAME' to the command, or use --kind statefulset for a file"
            .to_owned());
    }
    let standby: &[&str] = if command.has("--standby") { &[] } else { &["--standby"] };
    let name = name_of(command);
    Ok(format!(
        "{KEY}{PASSWORD}\
         # One pod sends. The other waits for the lease of the ledger, and takes over when the first one ends or its node is lost.\n\
         {AGAIN}\
         # The manifest and telecine.toml are in a volume that several nodes can read. Reports are lost with a pod: `telecine report` makes\n\
         # them again from the ledger, on any machine.\n\
         apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {name}\nspec:\n  replicas: 2\n  \
         selector:\n    matchLabels:\n      app: {name}\n  strategy:\n    rollingUpdate:\n      maxSurge: 0\n      maxUnavailable: 1\n  \
         template:\n    metadata:\n      labels:\n        app: {name}\n    spec:\n      \
         # the answers of requests in flight are waited for\n      terminationGracePeriodSeconds: 300\n      \
         topologySpreadConstraints:\n        - maxSkew: 1\n          topologyKey: kubernetes.io/hostname\n          \
         whenUnsatisfiable: ScheduleAnyway\n          labelSelector:\n            matchLabels:\n              app: {name}\n      \
         containers:\n{container}          volumeMounts:\n            \
         - name: data\n              mountPath: /data\n              readOnly: true\n            \
         - name: state\n              mountPath: /data/state\n      \
         volumes:\n        - name: data\n          persistentVolumeClaim:\n            claimName: telecine\n            readOnly: true\n        \
         - name: state\n          emptyDir: {{}}\n",
        container = container(command, standby, true, 8),
    ))
}

fn stateful_set(command: &ScheduledCommand) -> Result<String, String> {
    refuse_other_than_import(command, "StatefulSet")?;
    if is_in_database(command) {
        return Err("a StatefulSet keeps the ledger in a file of its volume; for a ledger in PostgreSQL use --kind deployment"
            .to_owned());
    }
    let name = name_of(command);
    Ok(format!(
        "{KEY}\
         # The manifest, telecine.toml, the ledger and the reports are in the volume: block storage, not a network file system. Put the\n\
         # manifest there: kubectl cp archive.csv {name}-0:/data/\n\
         # ReadWriteOncePod: no second pod can have the volume, so that the file has one writer. When a node is lost, the pod is begun\n\
         # elsewhere once Kubernetes knows that the node is gone.\n\
         {AGAIN}\
         apiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\nspec:\n  clusterIP: None\n  selector:\n    app: {name}\n---\n\
         apiVersion: apps/v1\nkind: StatefulSet\nmetadata:\n  name: {name}\nspec:\n  serviceName: {name}\n  replicas: 1\n  \
         selector:\n    matchLabels:\n      app: {name}\n  template:\n    metadata:\n      labels:\n        app: {name}\n    spec:\n      \
         # the answers of requests in flight are waited for\n      terminationGracePeriodSeconds: 300\n      \
         containers:\n{container}          volumeMounts:\n            - name: data\n              mountPath: /data\n  \
         volumeClaimTemplates:\n    - metadata:\n        name: data\n      spec:\n        accessModes: [ReadWriteOncePod]\n        \
         resources:\n          requests:\n            storage: 10Gi\n",
        container = container(command, &[], false, 8),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(arguments: &[&str]) -> ScheduledCommand {
        ScheduledCommand {
            program: "/usr/bin/telecine".into(),
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            folder: "/data".into(),
            at: (2, 17),
            user: None,
        }
    }

    const ADDRESS: &str = "postgres://ann@db/video?schema=archive";

    #[test]
    fn two_pods_share_a_ledger_in_a_database_and_one_waits() {
        let yaml =
            kubernetes(&command(&["import", "m.csv", "--ledger", ADDRESS]), KubernetesKind::Deployment);
        let yaml = yaml.unwrap();
        for part in [
            "replicas: 2",
            r#"args: ["import", "m.csv", "--ledger", "postgres://ann@db/video?schema=archive", "--standby"]"#,
            "- name: PGPASSWORD",
            "name: telecine-ledger",
        ] {
            assert!(yaml.contains(part), "{part}: {yaml}");
        }
        let given = format!("--ledger={ADDRESS}");
        let yaml =
            kubernetes(&command(&["import", "m.csv", &given, "--standby"]), KubernetesKind::Deployment);
        assert_eq!(yaml.unwrap().matches("--standby").count(), 1);
        let in_file = kubernetes(&command(&["import", "m.csv"]), KubernetesKind::Deployment).unwrap_err();
        assert!(in_file.contains("--ledger") && in_file.contains("statefulset"), "{in_file}");
    }

    #[test]
    fn one_pod_has_the_file_of_its_ledger_alone() {
        let yaml = kubernetes(&command(&["import", "m.csv"]), KubernetesKind::StatefulSet).unwrap();
        for part in ["replicas: 1", "accessModes: [ReadWriteOncePod]", r#"args: ["import", "m.csv"]"#] {
            assert!(yaml.contains(part), "{part}: {yaml}");
        }
        assert!(!yaml.contains("PGPASSWORD"));
        for (arguments, kind) in [
            (&["import", "m.csv", "--ledger", ADDRESS][..], KubernetesKind::StatefulSet),
            (&["check", "m.csv"], KubernetesKind::StatefulSet),
            (&["check", "m.csv", "--ledger", ADDRESS], KubernetesKind::Deployment),
        ] {
            kubernetes(&command(arguments), kind).unwrap_err();
        }
    }

    #[test]
    fn a_job_gets_the_password_of_a_ledger_in_a_database_only() {
        let job = |arguments: &[&str]| kubernetes(&command(arguments), KubernetesKind::CronJob).unwrap();
        assert!(job(&["import", "m.csv", "--ledger", ADDRESS]).contains("PGPASSWORD"));
        assert!(!job(&["import", "m.csv"]).contains("PGPASSWORD"));
    }
}
