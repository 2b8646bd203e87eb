// Writes client/index.d.ts: the types of parley/client as one file without imports.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const root = dirname(import.meta.dirname);
const folder = mkdtempSync(join(tmpdir(), 'parley-types-'));
try {
  const { status } = spawnSync('tsc', ['--project', 'src/client', '--outDir', folder], {
    cwd: root,
    stdio: 'inherit',
  });
  if (status !== 0) throw new Error(`tsc ended with ${status}`);
  const [types = '', index = ''] = ['types.d.ts', 'index.d.ts'].map((name) =>
    readFileSync(join(folder, name), 'utf8'),
  );
  // The public types are all in types.ts: what the index takes from there is in the same file here.
  const own = index.replaceAll(/^(?:import|export) type \{[^}]*\} from '\.\/types\.ts';\n/gm, '');
  if (/\bfrom '/.test(own)) throw new Error('The types of src/client/index.ts need more than types.ts.');
  const head = '// Generated from src/client by scripts/print-client-types.ts.\n';
  writeFileSync(join(root, 'client/index.d.ts'), head + types + own);
} finally {
  rmSync(folder, { recursive: true });
}
