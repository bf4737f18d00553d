// The browser test of the report and of the dashboard: imports made-up archives into the sandbox, writes the reports, serves the
// dashboards, and looks at them in headless Chromium (check.mjs). Needs Debian's chromium, node and npm; without them it says that it was skipped.
//
// cargo build && node tests/browser/run.mjs [--pictures docs]
import { spawn, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { archive, hostile } from "./manifests.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const target = resolve(here, "../../target");
const telecine = join(target, "debug/telecine");
const chromium = process.env.CHROMIUM ?? "/usr/bin/chromium";

function skip(reason) {
  console.log(`SKIPPED: THE PAGES WERE NOT LOOKED AT IN A BROWSER: ${reason}`);
  process.exit(0);
}

if (!existsSync(chromium)) skip(`there is no ${chromium}: apt-get install chromium`);
if (!existsSync(telecine)) skip(`there is no ${telecine}: cargo build`);
const modules = join(target, "browser");
if (!existsSync(join(modules, "node_modules/axe-core"))) {
  mkdirSync(modules, { recursive: true });
  cpSync(join(here, "package.json"), join(modules, "package.json"));
  const installed = spawnSync("npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund"], { cwd: modules, stdio: "inherit" });
  if (installed.status !== 0) skip("npm cannot install playwright-core and axe-core");
}

const folder = mkdtempSync(join(tmpdir(), "telecine-report-"));
// time passes 40 times as fast in all processes
const env = { TELECINE_FAST_CLOCK: `40@${Date.now()}`, PATH: process.env.PATH, HOME: folder, XDG_STATE_HOME: folder, MEMORIES_API_KEY: "sk-canary" };
const run = (args) => {
  const done = spawnSync(telecine, args, { cwd: folder, env, encoding: "utf8" });
  if (![0, 4, 5, 6, 10].includes(done.status)) throw new Error(`telecine ${args.join(" ")} ended with ${done.status}: ${done.stderr}`);
  return done;
};

// a service with limits and faults, so that there are waits, failures and doubts
async function service(work) {
  const args = ["sandbox", "--listen", "127.0.0.1:0", "--rate", "1000/s", "--cap", "300/2min", "--index-delay", "20s", "--fault-share", "0.05", "--fail-share", "0.02"];
  const server = spawn(telecine, args, { cwd: folder, env, stdio: ["ignore", "pipe", "inherit"] });
  const line = await new Promise((done) => server.stdout.once("data", (data) => done(String(data))));
  try {
    await work(line.trim().split(" ").pop());
  } finally {
    server.kill();
  }
}

// a command that serves a dashboard, and the address of the page
async function dashboard(args) {
  const server = spawn(telecine, args, { cwd: folder, env, stdio: ["ignore", "pipe", "inherit"] });
  let printed = "";
  const url = await new Promise((done) => server.stdout.on("data", (data) => {
    printed = (printed + data).slice(-4_000);
    const found = printed.match(/http:\/\/127\.0\.0\.1:\d+\/(?=")/);
    if (found) done(found[0]);
  }));
  return { server, url };
}

const pages = [];
const page = (name, args) => {
  const file = join(folder, `${name}.html`);
  run(["report", "--html", file, ...args]);
  pages.push(file);
};

writeFileSync(join(folder, "archive.csv"), archive(2_000));
writeFileSync(join(folder, "hostile <img src=x onerror=1>.csv"), hostile());
await service(async (url) => {
  const at = ["--ledger", "archive.db", "--api-url", url];
  run(["import", "archive.csv", ...at, "--rate", "5/s", "--cap", "300/2min", "--for", "25m", "--quiet"]);
  page("archive", ["--ledger", "archive.db", "--price", "2"]);
  run(["verify", ...at, "--quiet"]);
  page("archive-verified", ["--ledger", "archive.db"]);
  run(["reconcile", ...at, "--no-wait", "--quiet"]);
  page("reconcile", ["--ledger", "archive.db"]);
});
run(["import", "hostile <img src=x onerror=1>.csv", "--sandbox", "--ledger", "hostile.db", "--quiet"]);
page("hostile", ["--ledger", "hostile.db"]);

const check = (args) => new Promise((done) => {
  const checking = spawn(process.execPath, [join(here, "check.mjs"), ...args], { stdio: "inherit", env: { ...process.env, TELECINE_NODE_MODULES: modules } });
  checking.on("exit", (status) => done(status ?? 1));
});
const documents = process.argv.indexOf("--pictures");
const pictures = join(target, "browser/pictures");
let status = 1;
await service(async (url) => {
  const running = await dashboard(["import", "archive.csv", "--ledger", "live.db", "--api-url", url, "--rate", "1/3s", "--cap", "300/20min", "--request-timeout", "10s", "--json", "--dashboard=127.0.0.1:0"]);
  if (documents >= 0) {
    const docs = resolve(process.argv[documents + 1]);
    status = Math.max(
      await check(["--picture", join(docs, "dashboard.png"), `dashboard=${running.url}`]),
      await check(["--picture", join(docs, "report.png"), pages[1]]),
    );
  } else {
    const ended = await dashboard(["dashboard", "--ledger", "hostile.db", "--json", "--listen", "127.0.0.1:0"]);
    status = await check([pictures, `dashboard-hostile=${ended.url}`, `dashboard=${running.url}@${running.server.pid}`]);
    ended.server.kill();
    status = Math.max(status, await check([pictures, ...pages]));
  }
  running.server.kill("SIGKILL");
  if (running.server.exitCode === null && running.server.signalCode === null) await new Promise((done) => running.server.once("exit", done));
});
rmSync(folder, { recursive: true });
process.exit(status);
