/** A safetensors file, its tensors as arrays over the file's bytes. */
import { TemporaryFolder } from "../common/folder.ts";
import { Safetensors, writeSafetensors } from "./safetensors.ts";

if (import.meta.main) {
  using folder = new TemporaryFolder();
  const file = folder.file("model.safetensors");
  const weight = Float32Array.from({ length: 1024 * 256 }, (_, i) => Math.sin(i));
  writeSafetensors(file, {
    "layer.weight": { dtype: "F32", shape: [1024, 256], bytes: new Uint8Array(weight.buffer) },
    "layer.bias": { dtype: "I64", shape: [3], bytes: new Uint8Array(24) },
  });
  using model = new Safetensors(file);
  for (const name of model.names) {
    const tensor = model.get(name);
    const inMap = (tensor.data as Float32Array).buffer === model.map.buffer;
    console.log(`${name}: ${tensor.dtype} [${tensor.shape.join(", ")}], in the map: ${inMap}`);
  }
  console.log(String(model.get("layer.weight")));
}
