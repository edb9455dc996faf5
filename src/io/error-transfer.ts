/** Carries ERE's errors between threads, where structured clone would keep only message and name. */
import * as errors from '../../formats/errors.js';

export interface TransferredError {
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  /** Own enumerable fields: code, tensor, expected, … */
  readonly fields: Readonly<Record<string, unknown>>;
}

/** Prototypes by class name: ERE's errors, and the built-in ones of caller misuse. */
const PROTOTYPES: ReadonlyMap<string, Error> = new Map(
  Object.values({ ...errors, TypeError, RangeError })
    .filter((value) => value.prototype instanceof Error)
    .map((errorClass) => [errorClass.name, errorClass.prototype as Error]),
);

export function toTransferredError(error: unknown): TransferredError {
  if (!(error instanceof Error))
    return { name: 'Error', message: String(error), stack: undefined, fields: {} };
  const fields = Object.fromEntries(
    Object.entries(error).filter(([, value]) => value === null || typeof value !== 'object'),
  );
  return { name: error.name, message: error.message, stack: error.stack, fields };
}

/** The error again, as an instance of its class. */
export function fromTransferredError(transferred: TransferredError): Error {
  const { name, message, stack, fields } = transferred;
  const error: Error = Object.create(PROTOTYPES.get(name) ?? Error.prototype, {
    message: { value: message, configurable: true, writable: true },
    stack: { value: stack, configurable: true, writable: true },
  });
  return Object.assign(error, fields);
}
