/**
 * `ere/serve`: any store, or a folder of archives, as a Hub that unmodified clients download whole models from. `serve`
 * listens on a port; `openHubHandler` is the same for a server that has one.
 */
export type { HandlerOptions, LogRecord, ServeOptions, ServeSources, Serving } from './api.js';
export { type HubHandler, openHubHandler } from './open-handler.js';
export { serve } from './serve.js';
