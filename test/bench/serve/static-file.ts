/**
 * `node static-file.js FILE [HIGH_WATER_MARK]`: a static file server, as the documentation of Node has it: ranges of one
 * file, piped from the disk. Its address goes to stdout; it ends with its stdin.
 */
import { createReadStream, statSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

const [path, highWaterMark] = process.argv.slice(2);
if (path === undefined) throw new TypeError('expected a file');
const { size } = statSync(path);
const server = createServer((request, response) => {
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
  const [start, end] = first === undefined ? [0, size - 1] : [Number(first), Number(last)];
  response.writeHead(first === undefined ? 200 : 206, {
    'content-length': end - start + 1,
    'content-range': `bytes ${start}-${end}/${size}`,
  });
  createReadStream(path, {
    start,
    end,
    ...(highWaterMark === undefined ? {} : { highWaterMark: Number(highWaterMark) }),
  }).pipe(response);
});
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`http://127.0.0.1:${(server.address() as AddressInfo).port}\n`);
});
process.stdin.resume().once('end', () => process.exit());
