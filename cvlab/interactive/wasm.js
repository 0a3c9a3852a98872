// A network in WebAssembly: start it, give it an input, and read its output and its maps.
import { el } from "./common.js";

const KINDS = { int8: Int8Array, float32: Float32Array };

/** Turn base64 into bytes. */
export function bytes(text) {
  const coded = atob(text), found = new Uint8Array(coded.length);
  for (let i = 0; i < coded.length; i += 1) found[i] = coded.charCodeAt(i);
  return found;
}

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
    const src = `${document.documentElement.dataset.content_root ?? "./"}_static/wasm/${name}.js`;
    files.set(name, new Promise((done, fail) => {
      const missing = () => { files.delete(name); fail(new Error(name)); };
      const read = () => { const found = globalThis.cvlabWasm?.[name]; if (found) done(found); else missing(); };
      document.head.append(el("script", { src, onload: read, onerror: missing }));
    }));
  }
  return files.get(name);
}
