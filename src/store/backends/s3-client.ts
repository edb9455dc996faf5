/** The client of S3, loaded on first use, and its errors as ERE's own. */
import type { S3Client, S3ClientConfig } from '@aws-sdk/client-s3';
import {
  ConflictError,
  EreError,
  IoError,
  NotFoundError,
  UnsupportedError,
} from '../../../formats/errors.js';
import { throwIfAborted } from '../../io/abort.js';
import type { S3Location } from './s3-location.js';

export type S3Module = typeof import('@aws-sdk/client-s3');

export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

export interface S3Connection extends S3Location {
  /** Default: those of the environment, of the shared configuration files and of the machine, as Amazon's tools do. */
  readonly credentials?: S3Credentials;
  /** Attempts of a request in all. Default 6. */
  readonly attempts?: number;
  /** Values of a page of a listing. Default and maximum: 1,000. */
  readonly pageLength?: number;
}

export interface S3Access {
  readonly s3: S3Module;
  readonly client: S3Client;
}

/** @throws UnsupportedError where the package is not installed */
export async function connectS3(connection: S3Connection): Promise<S3Access> {
  // On Node 20 it would print that its later versions will not run there; this one, which is pinned, does.
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';
  let s3: S3Module;
  try {
    s3 = await import('@aws-sdk/client-s3');
  } catch (cause) {
    const message = 's3:// needs the package @aws-sdk/client-s3: npm install @aws-sdk/client-s3';
    throw new UnsupportedError('S3', message, { cause });
  }
  const { endpoint, region, credentials } = connection;
  const config: S3ClientConfig = {
    region: region ?? process.env.AWS_REGION ?? process.env.AWS_DEFAULT_REGION ?? 'us-east-1',
    forcePathStyle: connection.pathStyle ?? endpoint !== undefined,
    maxAttempts: connection.attempts ?? 6,
    // Checksums of later years, which many other servers do not know; contents are digested by the store.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    ...(endpoint !== undefined && { endpoint }),
    ...(credentials !== undefined && { credentials }),
  };
  return { s3, client: new s3.S3Client(config) };
}

/** The HTTP status of an error of the client; undefined for others, and where no answer came. */
export function statusOf(error: unknown): number | undefined {
  return (error as { $metadata?: { httpStatusCode?: number } } | undefined)?.$metadata?.httpStatusCode;
}

/** True where a conditional request found something else: also 404, for If-Match where nothing is. */
export function isConditionFailure(error: unknown): boolean {
  return [404, 409, 412].includes(statusOf(error) ?? 0) && !isNoBucket(error);
}

/**
 * Runs requests and throws what fails as ERE's own errors.
 * @param shown what is asked for, for messages
 */
export async function withS3Errors<T>(
  action: string,
  shown: string,
  signal: AbortSignal | undefined,
  run: () => Promise<T>,
): Promise<T> {
  throwIfAborted(signal);
  try {
    return await run();
  } catch (error) {
    throwIfAborted(signal);
    throw toS3Error(error, action, shown);
  }
}

function toS3Error(error: unknown, action: string, shown: string): unknown {
  if (error instanceof EreError) return error;
  // The whole answer and its request, with the authorization: nothing to keep with an error that may be printed.
  Reflect.deleteProperty(error as object, '$response');
  const { name, message } = error as Error;
  const status = statusOf(error);
  const options = { cause: error };
  if (isNoBucket(error)) return new NotFoundError(`${shown}: there is no such bucket`, options);
  if (status === 404) return new NotFoundError(`${shown}: there is no such value`, options);
  if (status === 412)
    return new ConflictError(`${shown}: cannot ${action}: it was changed meanwhile`, options);
  if (name === 'CredentialsProviderError') {
    const hint = 'set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE';
    return new IoError(`${shown}: cannot ${action}: no credentials: ${hint}`, options);
  }
  const code = (error as { code?: unknown }).code;
  // Errors of the client carry what was answered; those of the network a code.
  if (status === undefined && typeof code !== 'string' && !NETWORK_ERRORS.includes(name)) return error;
  const answer = status === undefined ? '' : ` (HTTP ${status})`;
  return new IoError(
    `${shown}: cannot ${action}: ${[name, message].filter(Boolean).join(': ')}${answer}`,
    options,
  );
}

/** Names of errors that come without a code. */
const NETWORK_ERRORS = ['TimeoutError', 'NetworkingError', 'RequestTimeout', 'AggregateError'];

function isNoBucket(error: unknown): boolean {
  return (error as Error | undefined)?.name === 'NoSuchBucket';
}
