/** `npm run demo:web`: serves the demo page until it is interrupted. */
import { once } from 'node:events';
import { withPage } from './serve-page.js';

console.log('Encoding a fine-tune of the test fixtures…');
await withPage(async ({ server }) => {
  console.log(`${server.url}/index.html (Ctrl-C ends it)`);
  await once(process, 'SIGINT');
});
