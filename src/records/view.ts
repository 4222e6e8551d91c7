/**
 * Records in place: objects whose properties read and write the element that a window has chosen. One
 * such object serves a whole array, so that a loop over records makes no objects.
 */
import { showAs } from "../inspect.ts";
import { FieldArray } from "./field_array.ts";
import { isLittleEndian, type RecordShape, type Shape } from "./layout.ts";
import { scalar } from "./scalars.ts";
import { Slot } from "./slot.ts";
import type { Window } from "./window.ts";

/**
 * Makes the object for records of a layout that start `at` bytes into a window's elements.
 *
 * The properties are own accessors whose functions know the window: to an engine they are constants of
 * the object, which a loop over one array can inline. V8 knows them only of an object whose shape no
 * other shares, and those with a prototype in common would; so each has one of its own.
 */
export function recordView(window: Window, at: number, shape: RecordShape, path = ""): object {
  const view: object = Object.create({});
  for (const field of shape.fields) {
    Object.defineProperty(view, field.name, {
      enumerable: true,
      ...accessors(window, at + field.offset, field.shape, path + field.name),
    });
  }
  showAs(view, () => new Slot(window, at, shape).read(window.chosen()));
  // Whoever assigns to a field that there is not gets a TypeError.
  return Object.preventExtensions(view);
}

interface Accessors {
  readonly get: () => unknown;
  readonly set: (value: never) => void;
}

function accessors(window: Window, at: number, shape: Shape, name: string): Accessors {
  if (isLittleEndian(shape)) {
    const { readHere, writeHere } = scalar(shape.scalar);
    return { get: readHere(window, at), set: writeHere(window, at) };
  }
  if (shape.kind === "array") {
    const array = new FieldArray(window, at, shape, name);
    return { get: () => array, set: (values) => array.assign(values) };
  }
  const slot = new Slot(window, at, shape, name);
  const set = (value: unknown) => slot.write(window.chosen(), value);
  if (shape.kind === "record") {
    const inner = recordView(window, at, shape, `${name}.`);
    return { get: () => inner, set };
  }
  if (shape.kind === "bytes") return { get: () => slot.bytes(window.chosen()), set };
  return { get: () => slot.read(window.chosen()), set };
}
