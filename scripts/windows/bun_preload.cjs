/**
 * Bun deletes folders through a call that Wine 8 does not have, and says EFAULT. The tests clean up with
 * `rmSync(path, { recursive: true })`: here it deletes what is in a folder one by one.
 */
const fs = require("node:fs");
const { join } = require("node:path");
const { fileURLToPath } = require("node:url");

const { rmSync } = fs;

function removeTree(path) {
  if (!fs.lstatSync(path).isDirectory()) return fs.unlinkSync(path);
  for (const name of fs.readdirSync(path)) removeTree(join(path, name));
  fs.rmdirSync(path);
}

fs.rmSync = (target, options) => {
  const path = target instanceof URL ? fileURLToPath(target) : target;
  if (!options?.recursive || !fs.existsSync(path)) return rmSync(path, options);
  removeTree(path);
};
