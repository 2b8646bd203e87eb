import { inspect } from 'node:util';

/** The program cannot start: the message says what it needs, which variable names it, and why it is not to be had. */
export class StartError extends Error {
  override readonly name = 'StartError';
}

const REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program has it already',
  EADDRNOTAVAIL: 'this machine has no such address',
  EACCES: 'that is not permitted to this user',
  EPERM: 'that is not permitted to this user',
  EEXIST: 'a file is in its place',
  ENOTDIR: 'a file is in its place',
  EROFS: 'it is on a disk that cannot be written to',
  ENOSPC: 'its disk is full',
  ECONNREFUSED: 'nobody answers there',
  ETIMEDOUT: 'nobody answers there',
  ENOTFOUND: 'there is no host of that name',
};

/** Waits for something that the program needs to start. Throws a `StartError` that begins with what was tried. */
export async function neededToStart<Result>(attempt: string, work: Promise<Result>): Promise<Result> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof StartError) throw error;
    throw new StartError(`${attempt}: ${reasonOf(error)}.`, { cause: error });
  }
}

/** A host with several addresses fails once for each of them. */
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return reasonOf(error.errors[0]);
  if (!(error instanceof Error)) return inspect(error, { breakLength: Infinity });
  const known = 'code' in error && typeof error.code === 'string' ? REASONS[error.code] : undefined;
  return known ?? error.message;
}
