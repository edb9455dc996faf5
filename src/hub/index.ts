/**
 * `ere/hub`: fine-tunes as residuals on the Hugging Face Hub. `push` uploads an archive with its model card, `pull`
 * rebuilds the model from the archive and its base.
 */
export type * from './api.js';
export { pull } from './pull.js';
export { push } from './push.js';
