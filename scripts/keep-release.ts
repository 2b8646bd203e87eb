// Writes test/fixtures/previous-release.js.br: the server of a commit as one file, which the tests of later releases run
// beside theirs. Its first line names the commit. Usage, in a clone with its history: npm run keep-release -- <commit>
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { brotliCompressSync } from 'node:zlib';
import { rolldown } from 'rolldown';

const root = dirname(import.meta.dirname);
const target = join(root, 'test/fixtures/previous-release.js.br');
const [, , commit = ''] = process.argv;
if (commit === '') throw new Error('Usage: npm run keep-release -- <commit>');

const id = execFileSync('git', ['rev-parse', '--verify', `${commit}^{commit}`], {
  cwd: root,
  encoding: 'utf8',
});
const folder = mkdtempSync(join(tmpdir(), 'parley-release-'));
try {
  const archive = execFileSync('git', ['archive', id.trim(), 'src', 'package.json'], {
    cwd: root,
    maxBuffer: 2 ** 28,
  });
  execFileSync('tar', ['-x', '-C', folder], { input: archive });
  await using bundle = await rolldown({
    input: join(folder, 'src/program.ts'),
    platform: 'node',
    // Packages are those of the later release.
    external: /^[^./]/,
  });
  const { output } = await bundle.generate({ format: 'esm', minify: true, codeSplitting: false });
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, brotliCompressSync(`// The server of commit ${id}${output[0].code}`));
} finally {
  rmSync(folder, { recursive: true });
}
