import { access, constants, mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setImmediate as setImmediatePromise } from 'node:timers/promises';
import type { PGlite } from '@electric-sql/pglite';
import type { BackendMessage } from 'pg-protocol/dist/messages.js';
import { Parser } from 'pg-protocol/dist/parser.js';
import { makePrivate } from '../lib/private-files.ts';
import { StartError } from '../lib/startup-error.ts';

/** Time that queries may block the event loop before timers and sockets get a turn. */
const MAX_BUSY_MS = 5;

/**
 * Works around four limits of PGlite 0.5.16, by a replacement of `execProtocolStream`:
 * - It runs queries synchronously, so a series of queries would starve timers and sockets: yields to the event loop. That
 *   queries block it is noted in https://github.com/electric-sql/pglite/issues/945.
 * - Its parser strips a leading U+FEFF of a text: parses with pg-protocol, as for a server. No upstream issue found;
 *   described in docs/private-apis.md.
 * - `execProtocolRaw` retains the results that it parsed: reads the raw stream instead. No upstream issue found.
 * - It syncs the file system after each message, which allocates much and does nothing for a folder or memory
 *   (https://github.com/electric-sql/pglite/issues/1107): skips it.
 */
export function patchPglite(pglite: PGlite): PGlite {
  let busySince: number | undefined;
  const parser = new Parser();
  const execProtocolStream: PGlite['execProtocolStream'] = async (message, options) => {
    if (busySince === undefined) {
      busySince = performance.now();
      setImmediate(() => (busySince = undefined));
    } else if (performance.now() - busySince > MAX_BUSY_MS) {
      await setImmediatePromise();
    }
    const messages: BackendMessage[] = [];
    await pglite.execProtocolRawStream(message, {
      ...options,
      syncToFs: false,
      // `packet` is a view of WASM memory that the next packet overwrites: the parser gets a copy.
      onRawData: (packet) => parser.parse(Buffer.from(packet), (parsed) => messages.push(parsed)),
    });
    return messages;
  };
  return Object.create(pglite, { execProtocolStream: { value: execProtocolStream } }) as PGlite;
}

/**
 * Locks the data folder for this process: PGlite does not detect a second one, and rows would be lost
 * (https://github.com/electric-sql/pglite/issues/1106). Uses the file lock of SQLite, since Node has none, which the
 * operating system releases when the process ends. Throws `StartError`.
 */
export async function lockFolder(dir: string): Promise<DatabaseSync> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  await access(dir, constants.R_OK | constants.W_OK);
  await makePrivate(join(dir, 'lock'));
  const lock = new DatabaseSync(join(dir, 'lock'));
  try {
    lock.exec('pragma busy_timeout = 0; begin exclusive');
    return lock;
  } catch {
    lock.close();
    throw new StartError(
      `Another process has the data folder ${resolve(dir)} open. Stop it first, choose another DATA_DIR, or set DATABASE_URL to share one database between processes.`,
    );
  }
}
