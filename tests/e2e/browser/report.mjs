// node report.mjs REPORT.html HOSTILE.html SHOTS [BIG.html]: opens the pages as a reader does, offline, and checks them.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const [report, hostile, shots, big] = process.argv.slice(2);
assert(report && hostile && shots, "usage: node report.mjs REPORT.html HOSTILE.html SHOTS [BIG.html]");
mkdirSync(shots, { recursive: true });
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-default-apps", "--disable-domain-reliability",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
  ],
});
const complaints = [];

async function visit(path, options, look) {
  const context = await browser.newContext({ offline: true, viewport: { width: 1440, height: 900 }, ...options });
  const page = await context.newPage();
  const url = pathToFileURL(resolve(path)).href;
  page.on("console", (message) => complaints.push(`${path}: console ${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => complaints.push(`${path}: error: ${error}`));
  page.on("requestfailed", (request) => complaints.push(`${path}: failed: ${request.url()}`));
  page.on("request", (request) => request.url() !== url && complaints.push(`${path}: asked for ${request.url()}`));
  page.on("dialog", (dialog) => complaints.push(`${path}: dialog ${dialog.message()}`) && dialog.dismiss());
  await page.goto(url, { waitUntil: "load" });
  await look(page);
  await context.close();
}

const shot = (page, name, fullPage = false) => page.screenshot({ path: join(shots, `${name}.png`), fullPage, caret: "initial" });
const shown = (page) => page.locator("#alert-table tbody:visible").count();
const titles = (page) => page.locator("#alert-table tbody:visible [data-k=title]").allTextContents();
const fits = (page) => page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth);
const whole = async (page) => {
  assert.equal(await page.locator("script").count(), 1, "one script element");
  assert.equal(await page.locator("img, iframe, object, embed, link, form, [style], [onload], [onerror], [onmouseover]").count(), 0);
  const links = await page.locator("a").evaluateAll((all) => all.map((a) => a.getAttribute("href")));
  assert(links.every((href) => /^#[a-z]+$/.test(href)), `links ${links}`);
  assert.equal(await page.evaluate(() => window.__pwned), undefined);
};

// The counts show, the filter narrows, columns sort, a row opens by keyboard.
await visit(report, {}, async (page) => {
  const tiles = await page.locator(".tile").allInnerTexts();
  for (const name of ["MALICIOUS-LIKELY", "SUSPICIOUS", "REVIEW", "EXPECTED"]) {
    assert(tiles.some((tile) => tile.includes(name) && /\d/.test(tile)), `tile ${name}`);
  }
  assert(!/benign/i.test(await page.locator("html").innerText()));
  await shot(page, "light");
  const all = await shown(page);
  assert(all > 10, `${all} rows`);
  await page.getByLabel("Text").fill("eve kube-proxy-health");
  const narrowed = await shown(page);
  assert(narrowed > 0 && narrowed < all, `${narrowed} of ${all}`);
  assert.equal(await page.getByRole("status").innerText(), `${narrowed} of ${all} alerts shown`);
  await page.getByRole("button", { name: "Reset" }).click();
  assert.equal(await shown(page), all);
  await page.getByRole("checkbox", { name: /^EXPECTED/ }).uncheck();
  assert((await shown(page)) < all, "a chip narrows");
  await page.getByRole("button", { name: "Reset" }).click();
  await page.getByLabel("Cluster", { exact: true }).selectOption({ index: 1 });
  assert((await shown(page)) < all, "a cluster narrows");
  await page.getByRole("button", { name: "Reset" }).click();

  const before = await titles(page);
  const head = page.locator("th[data-sort=t]");
  await head.getByRole("button").focus();
  await page.keyboard.press("Enter");
  assert.equal(await head.getAttribute("aria-sort"), "ascending");
  const times = await page.locator("#alert-table [data-k=t]").allTextContents();
  assert.deepEqual(times, [...times].sort(), "sorted by time");
  await page.keyboard.press("Enter");
  assert.equal(await head.getAttribute("aria-sort"), "descending");
  assert.notDeepEqual(await titles(page), before);
  await page.locator("th[data-sort=at] button").click();
  assert.deepEqual(await titles(page), before, "back in the page's own order");

  const opener = page.locator("#alert-table button.opener").first();
  assert.equal(await page.locator("tr.detail:visible").count(), 0);
  await opener.focus();
  await page.keyboard.press("Enter");
  assert.equal(await opener.getAttribute("aria-expanded"), "true");
  assert.match(await page.locator("tr.detail:visible").innerText(), /why\s+CJ-[A-Z]+-\d+/);
  await opener.scrollIntoViewIfNeeded();
  await shot(page, "open");
  await shot(page, "full", true);
  await page.keyboard.press("Enter");
  assert.equal(await page.locator("tr.detail:visible").count(), 0);
  await whole(page);
  await page.pdf({ path: join(shots, "print.pdf"), format: "A4", printBackground: true, margin: { top: "1cm", bottom: "1cm", left: "1cm", right: "1cm" } });
});
await visit(report, { colorScheme: "dark" }, async (page) => {
  await shot(page, "dark");
  await page.locator("#alert-table button.opener").first().press("Enter");
  await page.locator("#alerts").scrollIntoViewIfNeeded();
  await page.locator("#alerts").evaluate((alerts) => alerts.scrollIntoView());
  await shot(page, "dark-open");
});
for (const width of [360, 390, 768, 1024, 1600]) {
  await visit(report, { viewport: { width, height: 844 } }, async (page) => {
    assert(await fits(page), `fits ${width}`);
    await shot(page, `w${width}`);
    await page.locator("#alerts").evaluate((alerts) => alerts.scrollIntoView());
    await page.locator("#alert-table button.opener").first().press("Enter");
    assert(await fits(page), `fits ${width} with a page open`);
    await shot(page, `w${width}-alerts`);
  });
}
// Without JavaScript everything is there to read.
await visit(report, { javaScriptEnabled: false }, async (page) => {
  assert.equal(await page.locator("tr.detail:visible").count(), await page.locator("tr.detail").count());
  assert.equal(await page.locator(".filters:visible").count(), 0);
});
// Log text is text.
await visit(hostile, {}, async (page) => {
  await page.getByRole("button", { name: "Open all shown" }).click();
  const text = await page.locator("body").innerText();
  for (const seen of ["<script>", "alert(1)</script>", "javascript:alert(1)", "\\u{202e}", "\\u{200b}", "\\u{1b}", "{{ 7*7 }}", "<svg onload="]) {
    assert(text.includes(seen), `shows ${seen}`);
  }
  assert(!/[\u202a-\u202e\u2066-\u2069\u200b-\u200f\u061c\ufeff\u2028\u2029\x00-\x08\x0b-\x1f\x7f-\x9f]/.test(await page.content()), "nothing hidden");
  await whole(page);
  assert(await fits(page), "hostile text fits");
  await page.getByRole("button", { name: "Close all" }).click();
  await shot(page, "hostile");
  await page.locator("#alerts").evaluate((alerts) => alerts.scrollIntoView());
  await shot(page, "hostile-alerts");
  const before = await shown(page);
  await page.getByLabel("Cluster", { exact: true }).selectOption({ label: "javascript:alert(1)" });
  assert.equal(await shown(page), 1, `of ${before}`);
});
await visit(hostile, { viewport: { width: 390, height: 844 } }, async (page) => assert(await fits(page), "hostile text fits 390"));
if (big) {
  const start = performance.now();
  await visit(big, {}, async (page) => {
    const took = performance.now() - start;
    assert(took < 3000, `opens in ${took} ms`);
    assert.equal(await shown(page), 500);
    await shot(page, "big");
    await page.getByLabel("Text").fill("user-3");
    assert((await shown(page)) < 500);
    console.log(`big page opened in ${Math.round(took)} ms`);
    await whole(page);
  });
}
await browser.close();
assert.deepEqual(complaints, []);
console.log("report pages: ok");
