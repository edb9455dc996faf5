/** File names that hold weights (or optimizer states of their size), by format: never carried as side files. */

const FORMATS: readonly (readonly [pattern: RegExp, format: string])[] = [
  [/\.safetensors$/, 'safetensors'],
  [/\.(?:bin|pt|pth|ckpt|pkl|pickle)$/, 'PyTorch'],
  [/\.(?:gguf|ggml)$/, 'GGUF'],
  [/\.(?:h5|hdf5|keras)$/, 'Keras'],
  [/\.msgpack$/, 'Flax'],
  // External data of ONNX graphs; the graph itself (.onnx) is a side file.
  [/\.onnx[._]data(?:_\d+)?$/, 'ONNX external data'],
  [/\.(?:npz|npy)$/, 'NumPy'],
  [/\.(?:tflite|mlmodel|mlpackage|pdparams|ot)$/, 'converted'],
  [/\.ere$/, 'ERE archive'],
];

/** Format of the weights that a file of this name holds; undefined for any other file. */
export function weightFormat(name: string): string | undefined {
  const lower = name.toLowerCase();
  return FORMATS.find(([pattern]) => pattern.test(lower))?.[1];
}
