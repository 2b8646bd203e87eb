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
  // Both modules become one file, so the imports of index.ts from types.ts are removed.
  const ownTypes = index.replaceAll(/^(?:import|export) type \{[^}]*\} from '\.\/types\.ts';\n/gm, '');
  if (/\bfrom '/.test(ownTypes))
    throw new Error('src/client/index.ts imports types from more than types.ts.');
  const header = '// Generated from src/client by scripts/print-client-types.ts.\n';
  writeFileSync(join(root, 'client/index.d.ts'), header + types + ownTypes);
} finally {
  rmSync(folder, { recursive: true });
}
