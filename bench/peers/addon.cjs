/** The part of `@riaskov/mmap-io`, a native addon for Node: copies out of a map. */
const fs = require("node:fs");
const path = require("node:path");
const readline = require("node:readline");

const mmap = require(path.join(process.argv[2], "node_modules/@riaskov/mmap-io"));
if (process.argv[3] === "--try") process.exit(0);

const BLOCK = 4096;
let mapped = Buffer.alloc(0);

const ends = (copy) => copy[0] + copy[copy.length - 1];

function use(file) {
  const fd = fs.openSync(file, "r");
  const { size } = fs.fstatSync(fd);
  mapped = Buffer.from(mmap.map(size, mmap.PROT_READ, mmap.MAP_SHARED, fd, 0));
  fs.closeSync(fd);
  return size;
}

function copies(how, count, length) {
  const places = mapped.length - length + 1;
  const into = Buffer.alloc(length);
  const kept = [];
  let sum = 0;
  for (let i = 0; i < count; i++) {
    const at = (i * length) % places;
    let copy = into;
    if (how === "into") mapped.copy(into, 0, at, at + length);
    else copy = Uint8Array.prototype.slice.call(mapped, at, at + length);
    sum += ends(copy);
    if (how === "kept") kept.push(copy);
  }
  return sum;
}

function blocks(file) {
  const bytes = fs.readFileSync(file);
  const target = Buffer.alloc(BLOCK);
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 4) {
    const at = bytes.readUInt32LE(i) * BLOCK;
    mapped.copy(target, 0, at, at + BLOCK);
    sum += ends(target);
  }
  return sum;
}

const verbs = {
  use,
  drop: () => {
    mapped = Buffer.alloc(0);
    return 0;
  },
  copies: (how, count, length) => copies(how, Number(count), Number(length)),
  blocks: (_how, file) => blocks(file),
  find: (needle) => mapped.indexOf(needle),
};

console.log("ready");
readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const [verb, ...words] = line.split(" ");
  const start = process.hrtime.bigint();
  const result = verbs[verb](...words);
  console.log(`${process.hrtime.bigint() - start} ${result}`);
});
