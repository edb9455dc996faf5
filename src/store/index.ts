/**
 * `ere/store`: a versioned store of fine-tunes. `openStore` and `initStore` give a Store; a registry that has bytes
 * elsewhere implements StoreBackend.
 */
export type * from './api.js';
export type {
  Content,
  Key,
  OpenValue,
  RequestOptions,
  StoreBackend,
  StoredValue,
} from './backend.js';
export { type FolderBackendOptions, openFolderBackend } from './backends/file-system.js';
export { createMemoryBackend } from './backends/memory.js';
export { type OpenBackendOptions, openBackend } from './backends/open-backend.js';
export { initStore, openStore } from './open-store.js';
export { STORE_FOLDER } from './store-folder.js';
