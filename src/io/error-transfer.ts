/** Carries ERE's errors between threads, where structured clone would keep only message and name. */
import * as errors from '../../formats/errors.js';

export interface TransferredError {
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  /** Own enumerable fields: code, tensor, expected, … */
  readonly fields: Readonly<Record<string, unknown>>;
  readonly cause: TransferredError | undefined;
}

/** Causes that are carried along; a chain is seldom longer, and one that loops ends. */
const MAX_CAUSES = 5;

/** Prototypes by class name: ERE's errors, and the built-in ones of caller misuse. */
const PROTOTYPES: ReadonlyMap<string, Error> = new Map(
  Object.values({ ...errors, TypeError, RangeError })
    .filter((value) => value.prototype instanceof Error)
    .map((errorClass) => [errorClass.name, errorClass.prototype as Error]),
);

export function toTransferredError(error: unknown, causes = MAX_CAUSES): TransferredError {
  if (!(error instanceof Error))
    return { name: 'Error', message: String(error), stack: undefined, fields: {}, cause: undefined };
  const fields = Object.fromEntries(
    Object.entries(error).filter(
      ([, value]) => value === null || !['object', 'function', 'symbol'].includes(typeof value),
    ),
  );
  const cause =
    error.cause === undefined || causes === 0 ? undefined : toTransferredError(error.cause, causes - 1);
  return { name: error.name, message: error.message, stack: error.stack, fields, cause };
}

/** The error again, as an instance of its class. */
export function fromTransferredError(transferred: TransferredError): Error {
  const { name, message, stack, fields, cause } = transferred;
  const hidden = (value: unknown) => ({ value, configurable: true, writable: true });
  const error: Error = Object.create(PROTOTYPES.get(name) ?? Error.prototype, {
    message: hidden(message),
    stack: hidden(stack),
    ...(cause === undefined ? {} : { cause: hidden(fromTransferredError(cause)) }),
    ...(PROTOTYPES.has(name) ? {} : { name: hidden(name) }),
  });
  return Object.assign(error, fields);
}
