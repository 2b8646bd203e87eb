import type { IncomingMessage, ServerResponse } from 'node:http';
import { drainRequest } from './respond.ts';

/** Chunks of a body that may be small, as those of a client that writes its JSON piece by piece. */
const MAX_SMALL_CHUNKS = 256;
/** Least average size of the chunks of a body with more. */
const MIN_CHUNK_BYTES = 64;

/**
 * Limits how many small chunks a body has. Node handles each chunk on its own, a whole read of the socket in one turn: 64 KB
 * of chunks of one byte block the event loop for longer than a thousand requests do.
 */
export function limitChunks(
  request: IncomingMessage,
  response: ServerResponse,
  onExceeded: () => void,
): void {
  if (request.headers['transfer-encoding'] === undefined) return;
  // Node would read the rest of the body without an end, and without a call of `push`.
  response.once('prefinish', () => {
    if (request.complete || request.listenerCount('data') > 0) return;
    drainRequest(request);
    request.read(0);
  });
  let [chunks, bytes] = [0, 0];
  const push = request.push.bind(request);
  request.push = (chunk: Buffer | null): boolean => {
    if (chunk === null) return push(null);
    chunks += 1;
    bytes += chunk.length;
    const isExceeded = chunks > MAX_SMALL_CHUNKS && bytes < chunks * MIN_CHUNK_BYTES;
    if (!isExceeded) return push(chunk);
    onExceeded();
    // Drops the rest of what the socket has read, which the parser would otherwise pass on chunk by chunk.
    request.push = () => false;
    ignoreChunksOfRead(request);
    return false;
  };
}

/**
 * Makes the parser of a request skip the chunks of what it parses now, which costs a tenth of calling back for each. The
 * parsers of Node are reused: this one has its callback again before another connection can be read.
 */
function ignoreChunksOfRead({ socket }: IncomingMessage): void {
  const parser = (Reflect.get(socket, 'parser') ?? {}) as Record<string, unknown>;
  const found = Object.entries(parser).find(
    ([, value]) => typeof value === 'function' && value.name === 'parserOnBody',
  );
  if (found === undefined) return;
  const [key, callback] = found;
  parser[key] = undefined;
  setImmediate(() => (parser[key] = callback));
}
