/** What a request is refused with: a status, words for whoever asked, and the codes that clients of the Hub look for. */

/** Of the header X-Error-Code: huggingface_hub, utils/_http.py (hf_raise_for_status). */
export type ProblemCode = 'RepoNotFound' | 'RevisionNotFound' | 'EntryNotFound';

/** Of an answer; several of a name as a list. */
export type AnswerHeaders = Readonly<Record<string, string | string[]>>;

export class Problem extends Error {
  override readonly name = 'Problem';
  readonly status: number;
  readonly code: ProblemCode | undefined;
  readonly headers: AnswerHeaders;

  constructor(
    status: number,
    message: string,
    details: {
      readonly code?: ProblemCode;
      readonly headers?: AnswerHeaders;
      readonly cause?: unknown;
    } = {},
  ) {
    super(message, { cause: details.cause });
    this.status = status;
    this.code = details.code;
    this.headers = details.headers ?? {};
  }
}
