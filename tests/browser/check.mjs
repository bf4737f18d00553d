// Looks at pages in headless Chromium: no message in the console, nothing loaded or run, no axe violation, no sideways
// scrolling on a phone; takes pictures in light and dark, on a phone and as print. A page is a file of the report, or the address
// of a dashboard as NAME=http://ADDRESS/: it may run its one script, which follows the run. With @PID behind it, that process is
// interrupted at last, and the page must show its end.
//
// node tests/browser/check.mjs FOLDER PAGE...   takes pictures into FOLDER
// node tests/browser/check.mjs --picture PNG PAGE   only takes the picture of the documentation
import { mkdirSync, readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const require = createRequire(`${process.env.TELECINE_NODE_MODULES ?? process.cwd()}/`);
const { chromium } = require("playwright-core");
const AXE = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const BYTES_MAX = 500_000;
const PICTURE_BYTES_MAX = 150_000;
const VIEWS = [
  { name: "light", colorScheme: "light", viewport: { width: 1100, height: 900 } },
  { name: "dark", colorScheme: "dark", viewport: { width: 1100, height: 900 } },
  { name: "phone", colorScheme: "light", viewport: { width: 360, height: 740 } },
  { name: "phone-dark", colorScheme: "dark", viewport: { width: 360, height: 740 } },
];

const failures = [];
function expect(holds, what) {
  if (!holds) failures.push(what);
}

// a page by its name, where it is, and whether it is a dashboard
function target(text) {
  const [, name, url, pid] = text.match(/^([a-z-]+)=(http:[^@]*)(?:@(\d+))?$/) ?? [];
  return url ? { name, url, pid, isLive: true } : { name: basename(text, ".html"), url: pathToFileURL(resolve(text)).href, file: resolve(text), isLive: false };
}

async function open(browser, { name: of, url, isLive }, { name, ...view }) {
  const context = await browser.newContext(view);
  const page = await context.newPage();
  const label = `${of} (${name})`;
  page.on("console", (message) => expect(false, `${label}: console: ${message.text()}`));
  page.on("pageerror", (error) => expect(false, `${label}: error: ${error.message}`));
  page.on("dialog", (dialog) => { expect(false, `${label}: a dialog opened`); dialog.dismiss(); });
  const isStream = (request) => isLive && request.url() === new URL("events", url).href;
  page.on("request", (request) => expect(isStream(request) || request.isNavigationRequest() && request.frame() === page.mainFrame(), `${label}: loads ${request.url()}`));
  await page.goto(url);
  return { context, page, label };
}

// the parts that arrive are put in their places, without loading the page again; a run that has ended says so
async function checkLive(page, label) {
  await page.waitForFunction(() => /follows the run|has ended/.test(document.getElementById("connection").textContent)).catch(() => expect(false, `${label}: no stream`));
  const isOver = () => page.evaluate(() => /has ended/.test(document.getElementById("connection").textContent));
  if (await isOver()) return;
  await page.evaluate(() => { window.seen = document.getElementById("live-progress").innerHTML; });
  await page.waitForFunction(() => document.getElementById("live-progress").innerHTML !== window.seen).catch(() => expect(false, `${label}: nothing changes`));
}

async function checkWithoutScript(browser, page) {
  const context = await browser.newContext({ javaScriptEnabled: false });
  const still = await context.newPage();
  await still.goto(page.url);
  const text = await still.locator("main").innerText();
  expect(/searchable/.test(text) && /Finished: /.test(text), `${page.name}: without a script the page is empty`);
  await context.close();
}

async function checkPage(page, label, isLive) {
  const found = await page.evaluate(() => ({
    attacked: window.attacked,
    scripts: document.querySelectorAll("script").length,
    active: document.querySelectorAll("img, iframe, object, embed, form, link, base").length,
    handlers: [...document.querySelectorAll("*")].filter((e) => [...e.attributes].some((a) => a.name.startsWith("on") || a.name === "style")).length,
    schemes: [...document.querySelectorAll("a")].map((a) => a.protocol).filter((protocol) => protocol !== "file:"),
    styled: getComputedStyle(document.querySelector("section")).borderTopStyle,
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    text: document.documentElement.outerHTML,
  }));
  expect(found.attacked === undefined, `${label}: a string of a manifest ran`);
  expect(found.active === 0, `${label}: ${found.active} active elements`);
  expect(found.scripts === (isLive ? 1 : 0), `${label}: ${found.scripts} scripts`);
  expect(found.handlers === 0, `${label}: ${found.handlers} elements with handlers or styles`);
  expect(found.schemes.length === 0, `${label}: links to ${found.schemes}`);
  expect(found.styled === "solid", `${label}: the style was not applied`);
  expect(found.overflow <= 0, `${label}: ${found.overflow} pixels beyond the edge`);
  expect(!/canary-signature/.test(found.text), `${label}: the signature of a URL is shown`);
  expect(!/[\u202a-\u202e\u2066-\u2069\u200e\u200f]/.test(found.text), `${label}: a mark that turns text around`);
}

async function checkAxe(page, label) {
  await page.evaluate(() => document.querySelectorAll("details").forEach((details) => { details.open = true; }));
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  for (const { id, help, nodes } of violations) {
    expect(false, `${label}: axe ${id}: ${help}: ${nodes.length} of them, such as ${nodes[0].html.slice(0, 160)}`);
  }
  await page.evaluate(() => document.querySelectorAll("details").forEach((details) => { details.open = false; }));
}

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: process.getuid?.() === 0 ? ["--no-sandbox"] : [],
});
if (process.argv[2] === "--picture") {
  const [picture, text] = process.argv.slice(3);
  const { page } = await open(browser, target(text), { name: "picture", colorScheme: "light", viewport: { width: 820, height: 960 } });
  // far enough that there is something to see
  await page.waitForFunction(() => !document.getElementById("live-status") || /, (1[2-9]|[2-9]\d) % finished$/.test(document.getElementById("live-status").textContent), null, { timeout: 120_000 });
  await page.screenshot({ path: picture });
  expect(statSync(picture).size < PICTURE_BYTES_MAX, `${picture} has ${statSync(picture).size} bytes`);
} else {
  const [folder, ...texts] = process.argv.slice(2);
  mkdirSync(folder, { recursive: true });
  for (const shown of texts.map(target)) {
    const { name, file, isLive } = shown;
    if (isLive) await checkWithoutScript(browser, shown);
    else expect(statSync(file).size < BYTES_MAX, `${file} has ${statSync(file).size} bytes`);
    for (const view of VIEWS) {
      const { context, page, label } = await open(browser, shown, view);
      if (isLive) await checkLive(page, label);
      await checkPage(page, label, isLive);
      await page.screenshot({ path: join(folder, `${name}-${view.name}.png`), fullPage: true });
      await checkAxe(page, label);
      await context.close();
    }
    if (isLive) {
      const { context, page, label } = await open(browser, shown, { name: "end" });
      if (shown.pid) process.kill(Number(shown.pid), "SIGINT");
      await page.waitForFunction(() => /has ended/.test(document.getElementById("connection").textContent), null, { timeout: 180_000 }).catch(() => expect(false, `${label}: the end does not come`));
      expect(/^(exit|killed)/.test(await page.locator("#live-status").innerText()), `${label}: the end is not shown`);
      await page.screenshot({ path: join(folder, `${name}-end.png`), fullPage: true });
      await context.close();
      continue;
    }
    const { context, page } = await open(browser, shown, { name: "print", colorScheme: "dark", viewport: { width: 794, height: 1123 } });
    await page.pdf({ path: join(folder, `${name}.pdf`), format: "A4", printBackground: true });
    await page.emulateMedia({ media: "print" });
    await page.screenshot({ path: join(folder, `${name}-print.png`), fullPage: true });
    await context.close();
  }
  console.log(`${texts.length} pages looked at in ${VIEWS.length} views and print; pictures in ${folder}`);
}
await browser.close();
for (const failure of failures) console.error(`FAILED: ${failure}`);
console.log(`${failures.length === 0 ? 1 : 0} passed, ${failures.length} failed`);
process.exit(failures.length === 0 ? 0 : 1);
