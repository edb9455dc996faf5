/** What the server counts, in the Prometheus text format. Library: prom-client. */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { FileCacheStats } from '../io/file-cache.js';

export interface ServerMetrics {
  readonly contentType: string;
  answered(request: {
    readonly method: string;
    readonly route: string;
    readonly status: number;
    readonly durationMs: number;
    readonly byteLength: number;
  }): void;
  rebuilt(part: { readonly byteLength: number }, durationMs: number, error: unknown): void;
  text(): Promise<string>;
}

/** What is asked when metrics are. */
export interface MetricsSources {
  connectionCount(): number;
  cacheStats(): FileCacheStats;
}

const REQUEST_SECONDS = [0.005, 0.02, 0.1, 0.5, 2, 10, 60, 600];
const REBUILD_SECONDS = [0.01, 0.05, 0.2, 1, 5, 20, 60];

export function createMetrics({ connectionCount, cacheStats }: MetricsSources): ServerMetrics {
  const registry = new Registry();
  const registers = [registry];
  const requests = new Counter({
    name: 'ere_http_requests_total',
    help: 'Requests that were answered.',
    labelNames: ['method', 'route', 'status'],
    registers,
  });
  const duration = new Histogram({
    name: 'ere_http_request_duration_seconds',
    help: 'From the request to the last byte of its answer.',
    labelNames: ['route'],
    buckets: REQUEST_SECONDS,
    registers,
  });
  const sent = new Counter({
    name: 'ere_http_response_bytes_total',
    help: 'Bytes of bodies that were sent.',
    registers,
  });
  const rebuilds = new Histogram({
    name: 'ere_rebuild_duration_seconds',
    help: 'Rebuilding a tensor or a side file into the cache.',
    labelNames: ['result'],
    buckets: REBUILD_SECONDS,
    registers,
  });
  const rebuiltBytes = new Counter({
    name: 'ere_rebuilt_bytes_total',
    help: 'Bytes that were rebuilt.',
    registers,
  });
  const gauge = (name: string, help: string, value: () => number): void => {
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(value());
      },
    });
  };
  const total = (name: string, help: string, value: () => number): void => {
    new Counter({
      name,
      help,
      registers,
      collect() {
        this.reset();
        this.inc(value());
      },
    });
  };
  gauge('ere_http_connections', 'Connections that are open.', connectionCount);
  gauge('ere_cache_bytes', 'Bytes of rebuilt parts in the cache.', () => cacheStats().byteLength);
  gauge('ere_cache_limit_bytes', 'Bytes that the cache may hold.', () => cacheStats().maxByteLength);
  gauge('ere_rebuilds_waiting', 'Parts that wait for a thread.', () => cacheStats().waitingCount);
  gauge('ere_rebuilds_running', 'Parts that are being rebuilt.', () => cacheStats().makingCount);
  total('ere_cache_hits_total', 'Parts that were in the cache when asked for.', () => cacheStats().hitCount);
  total('ere_cache_misses_total', 'Parts that were not.', () => cacheStats().missCount);
  total('ere_cache_evictions_total', 'Parts that made room for others.', () => cacheStats().evictedCount);
  gauge('process_resident_memory_bytes', 'Resident memory.', () => process.memoryUsage.rss());
  total('process_cpu_seconds_total', 'Processor time of user and system.', () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  });
  return {
    contentType: registry.contentType,
    answered({ method, route, status, durationMs, byteLength }) {
      requests.inc({ method, route, status });
      duration.observe({ route }, durationMs / 1000);
      sent.inc(byteLength);
    },
    rebuilt({ byteLength }, durationMs, error) {
      rebuilds.observe({ result: error === undefined ? 'done' : 'failed' }, durationMs / 1000);
      if (error === undefined) rebuiltBytes.inc(byteLength);
    },
    text: () => registry.metrics(),
  };
}
