/** The example programs: what they compute, that nothing is copied, and that others can read it. */
import { spawnSync } from "node:child_process";
import process from "node:process";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import * as flechette from "@uwdata/flechette";
import { type Data, tableFromArrays, tableToIPC } from "apache-arrow";
import { openArrow } from "../examples/arrow/arrow.ts";
import { shareCopyOnWrite } from "../examples/copy_on_write/main.ts";
import { writeIntegers } from "../examples/median/integers.ts";
import { estimatedMedian, MedianWorkers } from "../examples/median/median.ts";
import { compute, toScijs } from "../examples/ndarray_library/main.ts";
import { Safetensors, writeSafetensors } from "../examples/safetensors/safetensors.ts";
import { sparseArray } from "../examples/sparse_array/main.ts";
import { sumFile, writeDoubles } from "../examples/sum/sum.ts";
import { MMapError, MMapInvalidParameterError } from "../mod.ts";
import { openNpy } from "../src/ndarray/mod.ts";
import { assertRefused, fileBytes, random, skipWithoutChildren, tempDir, utf8 } from "./helpers.ts";
import { skipInMemory, skipOutsideLinux } from "./helpers_paging.ts";
import { runPython, skipWithoutNumpy } from "./interop/numpy.ts";

const GiB = 2 ** 30;
const page = 4096;

/** The typed arrays that a column of Arrow's consists of. */
function buffersOf({ values, valueOffsets, nullBitmap }: Data): ArrayBufferView[] {
  const views: unknown[] = [values, valueOffsets, nullBitmap];
  return views.filter((view) => ArrayBuffer.isView(view) && view.byteLength > 0) as never;
}

describe("openArrow()", () => {
  const columns = () => ({
    index: Int32Array.from({ length: 1000 }, (_, i) => i),
    value: Float64Array.from({ length: 1000 }, (_, i) => i / 4),
    time: BigInt64Array.from({ length: 1000 }, (_, i) => BigInt(i) ** 5n),
    name: Array.from({ length: 1000 }, (_, i) => i % 10 === 0 ? null : `Zoë ${i}`),
  });

  test("has columns whose buffers are the map's bytes", () => {
    using dir = tempDir();
    const bytes = tableToIPC(tableFromArrays(columns()), "file");
    using mapped = openArrow(dir.file("a.arrow", bytes));
    const { table, map } = mapped;
    assertEquals([table.numRows, table.numCols], [1000, 4]);
    let buffers = 0;
    for (const name of ["index", "value", "time", "name"]) {
      const [data, ...more] = table.getChild(name)!.data;
      assertEquals(more, []);
      const parts = data!.children.length > 0 ? data!.children : [data!];
      const all = parts.concat(data!.dictionary?.data ?? []).flatMap(buffersOf);
      assert(all.length > 0, name);
      for (const { buffer, byteOffset, byteLength } of all) {
        assert(buffer === map.buffer, `${name} was copied`);
        assertEquals(
          new Uint8Array(buffer, byteOffset, byteLength),
          bytes.slice(byteOffset, byteOffset + byteLength),
        );
        buffers++;
      }
    }
    assert(buffers >= 6, `${buffers} buffers`);
    assertEquals(table.get(7)?.toJSON(), { index: 7, value: 1.75, time: 16807n, name: "Zoë 7" });
    assertEquals(table.getChild("name")!.get(10), null);
  });

  test("writes to the file through a column, as another reader sees", () => {
    using dir = tempDir();
    const file = dir.file("a.arrow", tableToIPC(tableFromArrays(columns()), "file"));
    {
      using mapped = openArrow(file, { mode: "r+" });
      mapped.table.getChild("value")!.data[0]!.values[7] = -1;
    }
    const again = flechette.tableFromIPC(fileBytes(file));
    assertEquals(
      [5, 6, 7, 8].map((i) => again.getChild("value").at(i) as number),
      [1.25, 1.5, -1, 2],
    );
    assertEquals(again.getChild("name").at(999), "Zoë 999");
  });

  test("reads what another library wrote", () => {
    using dir = tempDir();
    const { index, value } = columns();
    const bytes = flechette.tableToIPC(flechette.tableFromArrays({ index, value }), {
      format: "file",
    });
    using mapped = openArrow(dir.file("a.arrow", bytes!));
    const column = mapped.table.getChild("value")!.data[0]!.values as Float64Array;
    assert(column.buffer === mapped.map.buffer);
    assertEquals([column.length, column[999]], [1000, 249.75]);
  });

  test("has empty columns after the map was closed", () => {
    using dir = tempDir();
    const mapped = openArrow(dir.file("a", tableToIPC(tableFromArrays(columns()), "file")));
    const { values } = mapped.table.getChild("value")!.data[0]!;
    mapped.map.close();
    assertEquals(values.length, 0);
  });

  test("fails for files that are not there", () => {
    using dir = tempDir();
    assertEquals(assertRefused(() => openArrow(dir.file("a")), MMapError).code, "ENOENT");
  });
});

describe("Safetensors", () => {
  const bytesOf = ({ buffer }: ArrayBufferView) => new Uint8Array(buffer);
  const tensors = () => ({
    weight: {
      dtype: "F32",
      shape: [2, 3],
      bytes: bytesOf(Float32Array.of(0, 0.5, 1, 1.5, 2, 2.5)),
    },
    ids: { dtype: "I64", shape: [2], bytes: bytesOf(BigInt64Array.of(-1n, 2n ** 60n)) },
    half: { dtype: "F16", shape: [1, 2], bytes: bytesOf(Float16Array.of(0.25, -8)) },
    flag: { dtype: "BOOL", shape: [], bytes: Uint8Array.of(1) },
    none: { dtype: "U8", shape: [0, 4], bytes: new Uint8Array(0) },
  });

  test("has tensors over the file's bytes", () => {
    using dir = tempDir();
    const file = dir.file("a.safetensors");
    writeSafetensors(file, tensors());
    using model = new Safetensors(file);
    assertEquals(model.names, ["weight", "ids", "half", "flag", "none"]);
    const weight = model.get("weight");
    assertEquals(weight.toArray(), [[0, 0.5, 1], [1.5, 2, 2.5]]);
    assert((weight.data as Float32Array).buffer === model.map.buffer);
    assertEquals([...model.get("ids")], [-1n, 2n ** 60n]);
    assertEquals([...model.get("half")], [0.25, -8]);
    assertEquals([model.get("flag").get(), model.get("none").shape], [true, [0, 4]]);
  });

  test("is read and written by Python alike", { skip: skipWithoutNumpy }, () => {
    using dir = tempDir();
    const [ours, theirs] = [dir.file("ours.safetensors"), dir.file("theirs.safetensors")];
    writeSafetensors(ours, tensors());
    const program = `
import json, struct, sys
import numpy as np
TYPES = {"F32": "<f4", "I64": "<i8", "F16": "<f2", "BOOL": "?", "U8": "u1"}
data = open(sys.argv[1], "rb").read()
(n,) = struct.unpack_from("<Q", data)
header = json.loads(data[8:8 + n])
out = {}
for name, t in header.items():
    start, end = t["data_offsets"]
    out[name] = np.frombuffer(data[8 + n + start:8 + n + end], TYPES[t["dtype"]]).reshape(t["shape"])
print(json.dumps({name: array.tolist() for name, array in out.items()}))
array = np.arange(6, dtype="<f8").reshape(3, 2)
header = json.dumps({"__metadata__": {"by": "Python"},
                     "a": {"dtype": "F64", "shape": [3, 2], "data_offsets": [0, 48]}}).encode()
header += b" " * (-len(header) % 8)
with open(sys.argv[2], "wb") as file:
    file.write(struct.pack("<Q", len(header)) + header + array.tobytes())`;
    assertEquals(JSON.parse(runPython(program, [ours, theirs])), {
      weight: [[0, 0.5, 1], [1.5, 2, 2.5]],
      ids: [-1, 2 ** 60],
      half: [[0.25, -8]],
      flag: true,
      none: [],
    });
    using model = new Safetensors(theirs);
    assertEquals(model.names, ["a"]);
    assertEquals(model.get("a").toArray(), [[0, 1], [2, 3], [4, 5]]);
  });

  test("refuses headers that lie", () => {
    using dir = tempDir();
    const open = (length: number, header: string, data = 0) => () => {
      const bytes = new Uint8Array(8 + utf8(header).length + data);
      new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
      bytes.set(utf8(header), 8);
      return new Safetensors(dir.file("a", bytes));
    };
    const refused = (make: () => unknown, ...parts: string[]) =>
      assertRefused(make, MMapInvalidParameterError, ...parts);
    refused(() => new Safetensors(dir.file("short", "1234567")), "7 bytes");
    refused(open(100, "{}"), "100 bytes");
    refused(open(2 ** 53, "{}"), "9007199254740992 bytes");
    refused(open(1, "{"), "no JSON");
    const fields = ["null", "{}", '{"dtype":"F32","shape":[1]}'];
    fields.push('{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}');
    for (const entry of fields) {
      const header = `{"a":${entry}}`;
      refused(open(header.length, header), '"a"');
    }
    const get = (entry: object, data: number) => () => {
      const header = JSON.stringify({ a: entry });
      using model = open(header.length, header, data)();
      return model.get("a");
    };
    refused(get({ dtype: "F32", shape: [2], data_offsets: [0, 8] }, 7), "8 bytes", "7");
    refused(get({ dtype: "F32", shape: [2], data_offsets: [0, 4] }, 8), "8 bytes", "4");
    refused(get({ dtype: "F99", shape: [2], data_offsets: [0, 8] }, 8), "F99");
    refused(get({ dtype: "U8", shape: [-2], data_offsets: [0, 2] }, 8), "-2");
    using empty = open(2, "{}")();
    refused(() => empty.get("a"), '"a"');
  });
});

test("ndarray and ndarray-ops compute on .npy files in place", () => {
  using dir = tempDir();
  const cell = (i: number, j: number) => 2 * i + j;
  let expected = 0;
  for (let i = 0; i < 300; i++) for (let j = 0; j < 200; j++) expected += cell(i, j);
  assertEquals(compute(dir.path), expected);
  using c = openNpy(dir.file("c.npy"), { dtype: "f8" });
  assertEquals([c.get(0, 0), c.get(299, 199), c.get(17, 4)], [0, cell(299, 199), cell(17, 4)]);
  const theirs = toScijs(c);
  assert(theirs.data.buffer === c.map.buffer);
  assertEquals(theirs.transpose(1, 0).get(4, 17), cell(17, 4));
  using b = openNpy(dir.file("b.npy"), { dtype: "f8" });
  assertEquals(toScijs(b).get(150, 7), b.get(150, 7)); // Fortran order, by its strides
});

test("a sparse array of 2^30 x 3 doubles takes no more room than its rows", {
  skip: skipOutsideLinux || skipInMemory,
}, () => {
  using dir = tempDir();
  const { sizes } = sparseArray(dir.file("sparse"), 2 ** 30);
  assertEquals(sizes.map(({ ls }) => ls), [24 * GiB, 24 * GiB]);
  assertEquals(sizes[0]!.du, 0);
  assert(sizes[1]!.du >= 3 * page && sizes[1]!.du <= 1 << 20, `${sizes[1]!.du} bytes`);
});

test("a copy-on-write array in two processes keeps the changes of each to itself", {
  skip: skipWithoutChildren(),
}, () => {
  using dir = tempDir();
  assertEquals(shareCopyOnWrite(dir.file("ones.npy"), 10_000), {
    parent: { first: 100, sum: 10_099 },
    child: { first: 7, sum: 10_006 },
    file: 10_000,
  });
});

test("the sum of a file of doubles is that of its doubles", () => {
  using dir = tempDir();
  const file = dir.file("doubles.npy");
  const header = writeDoubles(file, 10_001);
  const doubles = new Float64Array(fileBytes(file).slice(header).buffer);
  assertEquals(doubles.length, 30_003);
  const expected = doubles.reduce((sum, value) => sum + value, 0);
  assert(Math.abs(sumFile(file) - expected) < 1e-7);
});

describe("the median of a file of 16-bit integers", () => {
  const sorted = (file: string) => new Int16Array(fileBytes(file).buffer).toSorted();
  const middle = (values: Int16Array) =>
    (values[(values.length - 1) >> 1]! + values[values.length >> 1]!) / 2;

  test("is exact, however many workers count", async () => {
    using dir = tempDir();
    const file = dir.file("integers");
    writeIntegers(file, 4);
    const expected = middle(sorted(file));
    for (const count of [1, 2, 3]) {
      using workers = new MedianWorkers(count);
      assertEquals(await workers.median(file), expected);
    }
    const estimate = estimatedMedian(file);
    assert(Math.abs(estimate - expected) < 50, `${estimate} is not near ${expected}`);
  });

  test("is exact for few, odd, equal and extreme values", async () => {
    using dir = tempDir();
    const next = random(5);
    const cases = [
      [5],
      [-32768, 32767],
      [-32768, -32768, 32767],
      [7, 7, 7, 7],
      [2, 1],
      Array.from({ length: 1001 }, () => Math.floor(next() * 65536) - 32768),
      Array.from({ length: 1000 }, () => Math.floor(next() * 9) - 4),
    ];
    using workers = new MedianWorkers(2);
    for (const values of cases) {
      const file = dir.file("few", new Uint8Array(Int16Array.from(values).buffer));
      assertEquals(await workers.median(file), middle(sorted(file)), `${values.slice(0, 9)}`);
      assertEquals(estimatedMedian(file), middle(sorted(file)));
    }
    assertEquals(await workers.median(dir.file("none", new Uint8Array(0))), NaN);
  });

  test("fails for a file that is no such file", async () => {
    using dir = tempDir();
    using workers = new MedianWorkers(2);
    await assertRejects(() => workers.median(dir.file("odd", new Uint8Array(7))));
  });
});

describe("the example programs run", { skip: skipWithoutChildren() }, () => {
  const programs: [name: string, args: string[], output: RegExp][] = [
    ["arrow", [], /in the map: true\nflechette reads -1/],
    ["copy_on_write", ["1000"], /file: +a sum of 1000\n/],
    ["median", ["2"], /1 worker\(s\): exactly (\S+),[^]*2 worker\(s\): exactly \1,/],
    ["ndarray_library", [], /has the sum 23910000; the file says 23910000/],
    ["safetensors", [], /layer.weight: <f4 \[1024, 256\], in the map: true/],
    ["sparse_array", ["100000"], /ls: 2400000 bytes/],
    ["sum", ["1000"], /mman: +(\S+) in/],
  ];
  for (const [name, args, output] of programs) {
    test(name, () => {
      const main = fileURLToPath(new URL(`../examples/${name}/main.ts`, import.meta.url));
      const flags = process.versions["deno"] ? ["run", "-A"] : [];
      const { status, stdout, stderr } = spawnSync(process.execPath, [...flags, main, ...args], {
        encoding: "utf8",
      });
      assertEquals(status, 0, stderr);
      assertMatch(stdout, output);
    });
  }
});
