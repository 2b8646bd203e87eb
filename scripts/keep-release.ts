// Writes test/fixtures/previous-release.js.br: this checkout's server as one file, which the tests of later releases run
// beside theirs. Run it at the commit of a release: npm run keep-release
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { brotliCompressSync } from 'node:zlib';
import { rolldown } from 'rolldown';

const root = dirname(import.meta.dirname);
const target = join(root, 'test/fixtures/previous-release.js.br');

await using bundle = await rolldown({
  input: join(root, 'src/program.ts'),
  platform: 'node',
  // Packages are those of the later release.
  external: /^[^./]/,
});
const { output } = await bundle.generate({ format: 'esm', minify: true, codeSplitting: false });
mkdirSync(dirname(target), { recursive: true });
writeFileSync(target, brotliCompressSync(output[0].code));
