import { defineConfig } from 'vitest/config';

// Tests run on what `tsc` emitted, so that worker threads and lazy imports are the files that ship.
export default defineConfig({
  test: {
    include: ['dist/test/**/*.test.js'],
    testTimeout: 60_000,
    pool: 'forks',
    maxWorkers: 2,
  },
});
