// A network in WebAssembly: start it, give it an input, and read its output and its maps.
import { el } from "./common.js";

const KINDS = { int8: Int8Array, float32: Float32Array };

/** Turn base64 into bytes. */
export const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

/** Start a network; `run(input)` gives its output, the milliseconds it took, and a function that reads its maps. */
export async function network({ module, dtype, outputs }) {
  const { instance } = await WebAssembly.instantiate(bytes(module), {});
  const { memory, input, output, maps, run } = instance.exports, Kind = KINDS[dtype];
  return (values) => {
    new Kind(memory.buffer, input(), values.length).set(values);
    const start = performance.now();
    run();
    return {
      ms: performance.now() - start,
      output: new Kind(memory.buffer, output(), outputs).slice(),
      map: (place, count) => new Kind(memory.buffer, maps() + place * Kind.BYTES_PER_ELEMENT, count).slice(),
    };
  };
}

const files = new Map();

/** Load what a file of the book's own says under a name; a script is read from file:// too, where fetch is not. */
export function load(name) {
  if (!files.has(name)) {
    const root = document.documentElement.dataset.content_root ?? "./";
    files.set(name, new Promise((done, fail) => {
      document.head.append(el("script", { src: `${root}_static/wasm/${name}.js`,
        onload: () => done(globalThis.cvlabWasm[name]), onerror: () => { files.delete(name); fail(new Error(name)); } }));
    }));
  }
  return files.get(name);
}
