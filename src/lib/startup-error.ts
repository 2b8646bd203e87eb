import { inspect } from 'node:util';

/**
 * Thrown when the program cannot start. The message names the attempt, the setting that controls it, and the reason.
 */
export class StartError extends Error {
  override readonly name = 'StartError';
}

const REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'the port is in use',
  EADDRNOTAVAIL: 'this machine has no such address',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EEXIST: 'a file with that name exists',
  ENOTDIR: 'a file with that name exists',
  EROFS: 'the file system is read-only',
  ENOSPC: 'no space left on the disk',
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset',
  ETIMEDOUT: 'connection timed out',
  EHOSTUNREACH: 'no route to the host',
  ENOTFOUND: 'no such host',
  EAI_AGAIN: 'the name server does not respond',
};

/** Awaits work without which the program cannot start. Throws a `StartError` that begins with `attempt`. */
export async function requireForStartup<Result>(attempt: string, work: Promise<Result>): Promise<Result> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof StartError) throw error;
    throw new StartError(`${attempt}: ${reasonOf(error)}.`, { cause: error });
  }
}

/** Describes an error. A host with several addresses fails with an `AggregateError`, one error for each address. */
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return reasonOf(error.errors[0]);
  if (!(error instanceof Error)) return inspect(error, { breakLength: Infinity });
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  const known = REASONS[code];
  return known === undefined ? error.message : `${known} (${code})`;
}
