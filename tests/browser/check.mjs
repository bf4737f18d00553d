// Looks at the report in headless Chromium: no message in the console, nothing loaded or run, no axe violation, no sideways
// scrolling on a phone; takes pictures in light and dark, on a phone and as print.
//
// node tests/browser/check.mjs FOLDER FILE.html...   takes pictures into FOLDER
// node tests/browser/check.mjs --picture PNG FILE.html   only takes the picture of the documentation
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

async function open(browser, file, { name, ...view }) {
  const context = await browser.newContext(view);
  const page = await context.newPage();
  const label = `${basename(file)} (${name})`;
  page.on("console", (message) => expect(false, `${label}: console: ${message.text()}`));
  page.on("pageerror", (error) => expect(false, `${label}: error: ${error.message}`));
  page.on("dialog", (dialog) => { expect(false, `${label}: a dialog opened`); dialog.dismiss(); });
  page.on("request", (request) => expect(request.isNavigationRequest() && request.frame() === page.mainFrame(), `${label}: loads ${request.url()}`));
  await page.goto(pathToFileURL(file).href);
  return { context, page, label };
}

async function checkPage(page, label) {
  const found = await page.evaluate(() => ({
    attacked: window.attacked,
    active: document.querySelectorAll("script, img, iframe, object, embed, form, link, base").length,
    handlers: [...document.querySelectorAll("*")].filter((e) => [...e.attributes].some((a) => a.name.startsWith("on") || a.name === "style")).length,
    schemes: [...document.querySelectorAll("a")].map((a) => a.protocol).filter((protocol) => protocol !== "file:"),
    styled: getComputedStyle(document.querySelector("section")).borderTopStyle,
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    text: document.documentElement.outerHTML,
  }));
  expect(found.attacked === undefined, `${label}: a string of a manifest ran`);
  expect(found.active === 0, `${label}: ${found.active} active elements`);
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
  const [picture, file] = process.argv.slice(3);
  const { page } = await open(browser, resolve(file), { name: "picture", colorScheme: "light", viewport: { width: 820, height: 960 } });
  await page.screenshot({ path: picture });
  expect(statSync(picture).size < PICTURE_BYTES_MAX, `${picture} has ${statSync(picture).size} bytes`);
} else {
  const [folder, ...files] = process.argv.slice(2);
  mkdirSync(folder, { recursive: true });
  for (const file of files.map((name) => resolve(name))) {
    const name = basename(file, ".html");
    expect(statSync(file).size < BYTES_MAX, `${file} has ${statSync(file).size} bytes`);
    for (const view of VIEWS) {
      const { context, page, label } = await open(browser, file, view);
      await checkPage(page, label);
      await page.screenshot({ path: join(folder, `${name}-${view.name}.png`), fullPage: true });
      await checkAxe(page, label);
      await context.close();
    }
    const { context, page } = await open(browser, file, { name: "print", colorScheme: "dark", viewport: { width: 794, height: 1123 } });
    await page.pdf({ path: join(folder, `${name}.pdf`), format: "A4", printBackground: true });
    await page.emulateMedia({ media: "print" });
    await page.screenshot({ path: join(folder, `${name}-print.png`), fullPage: true });
    await context.close();
  }
  console.log(`${files.length} pages looked at in ${VIEWS.length} views and print; pictures in ${folder}`);
}
await browser.close();
for (const failure of failures) console.error(`FAILED: ${failure}`);
console.log(`${failures.length === 0 ? 1 : 0} passed, ${failures.length} failed`);
process.exit(failures.length === 0 ? 0 : 1);
