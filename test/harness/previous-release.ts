import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { brotliDecompressSync } from 'node:zlib';
import { ROOT } from './program.ts';

/** Returns the module of the server of the previous release, which `npm run keep-release` has kept. */
export const readPreviousRelease = async (): Promise<Buffer> =>
  brotliDecompressSync(await readFile(join(ROOT, 'test/fixtures/previous-release.js.br')));
