/** onnxruntime-node is optional (290 MB installed): it is loaded on first use, and its absence has one clear error. */
import type * as OnnxRuntime from 'onnxruntime-node';
import { UnsupportedError } from '../../formats/errors.js';

/**
 * @param load How the package is imported; tests replace it.
 * @throws UnsupportedError when the package, or its native part for this platform, is missing.
 */
export async function loadOnnxRuntime(
  load: () => Promise<typeof OnnxRuntime> = () => import('onnxruntime-node'),
): Promise<typeof OnnxRuntime> {
  try {
    return await load();
  } catch (cause) {
    throw new UnsupportedError(
      'onnxruntime-node',
      'evaluation runs models with the optional package onnxruntime-node, which could not be loaded; ' +
        'install it with: npm install onnxruntime-node',
      { cause },
    );
  }
}
