/** Where a store is in S3, or in what speaks its protocol: `s3://bucket/prefix?endpoint=…&region=…&path-style=…`. */

export interface S3Location {
  readonly bucket: string;
  /** Folder of the bucket, without '/' at its ends; '' for all of it. */
  readonly prefix: string;
  /** URL of a server other than Amazon's. Default: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, else Amazon's. */
  readonly endpoint?: string;
  /** Default: AWS_REGION, AWS_DEFAULT_REGION, else us-east-1. */
  readonly region?: string;
  /** The bucket in the path instead of the host name. Default: true with an endpoint. */
  readonly pathStyle?: boolean;
}

const EXPECTED = 'expected s3://BUCKET/PREFIX?endpoint=URL&region=REGION&path-style=true';
/** Amazon's rule, and what older buckets and other servers allow: nothing that a URL would take for something else. */
const BUCKET = /^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$/;
const PARAMETERS = ['endpoint', 'region', 'path-style'];

/** @throws RangeError for what is no such URL; the message repeats nothing that may be secret */
export function parseS3Url(url: string): S3Location {
  const match = /^s3:\/\/([^/?#]*)([^?#]*)(?:\?([^#]*))?$/i.exec(url);
  if (match === null) throw new RangeError(EXPECTED);
  const [, bucket, path, query] = match;
  if (bucket.includes('@')) throw new RangeError(`${EXPECTED}; credentials are taken from the environment`);
  const parameters = new URLSearchParams(query ?? '');
  const unknown = [...parameters.keys()].find((name) => !PARAMETERS.includes(name));
  if (unknown !== undefined)
    throw new RangeError(`${EXPECTED}, got the parameter ${JSON.stringify(unknown)}`);
  const pathStyle = parameters.get('path-style');
  if (pathStyle !== null && pathStyle !== 'true' && pathStyle !== 'false') {
    throw new RangeError(`expected path-style=true or path-style=false, got ${JSON.stringify(pathStyle)}`);
  }
  const endpoint = parameters.get('endpoint');
  const region = parameters.get('region');
  const location: S3Location = {
    bucket,
    prefix: path.replace(/^\/+|\/+$/g, ''),
    ...(endpoint !== null && { endpoint }),
    ...(region !== null && { region }),
    ...(pathStyle !== null && { pathStyle: pathStyle === 'true' }),
  };
  assertS3Location(location);
  return location;
}

/** @throws RangeError for a bucket, prefix or endpoint that cannot be one */
export function assertS3Location({ bucket, prefix, endpoint }: S3Location): void {
  if (!BUCKET.test(bucket))
    throw new RangeError(`expected the name of a bucket, got ${JSON.stringify(bucket)}`);
  // What is left of S3's 1,024 bytes beside a key.
  const isPrefix = prefix.split('/').every((segment) => !['', '.', '..'].includes(segment)) || prefix === '';
  if (!isPrefix || Buffer.byteLength(prefix) > 500 || /\p{Cc}/u.test(prefix)) {
    throw new RangeError(`expected a prefix without empty segments, got ${JSON.stringify(prefix)}`);
  }
  if (endpoint === undefined) return;
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '') {
    throw new RangeError('expected an endpoint of the form https://HOST:PORT, without credentials');
  }
}
