/**
 * Records of a fixed size in a map, zero copy: what Python's `struct` and a pointer to a C struct give,
 * with types that the editor knows.
 *
 * @example
 * ```ts
 * import { MemoryMap } from "@mman/mman";
 * import { defineRecord } from "@mman/mman/records";
 * import { assertEquals } from "@std/assert";
 *
 * const Tick = defineRecord({ index: "u32", value: "f64" }, { packed: true });
 * const path = `${Deno.makeTempDirSync()}/ticks`;
 * using map = MemoryMap.open(path, { mode: "w+", size: Tick.byteLength * 1_000_000 });
 * const ticks = Tick.over(map);
 * ticks.set(0, { index: 1, value: 0.5 });
 * ticks.at(999_999).value = 2;
 * assertEquals(ticks.column("value").sum(), 2.5);
 * ```
 *
 * @module
 */
export { Column } from "./column.ts";
export { FieldArray } from "./field_array.ts";
export type {
  FieldAt,
  FieldInput,
  FieldPath,
  FieldType,
  FieldValue,
  FieldView,
  RecordFields,
  RecordInput,
  RecordOf,
  RecordView,
  ScalarType,
  ScalarTypes,
} from "./field_types.ts";
export { RecordArray } from "./record_array.ts";
export { defineRecord, type RecordField, type RecordOptions, RecordType } from "./record_type.ts";
export type { AnyTypedArray } from "./typed.ts";
