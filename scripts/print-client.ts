// Writes client/index.js: the module parley/client as one file without imports, for node_modules and browsers.
import { dirname, join } from 'node:path';
import { rolldown } from 'rolldown';

const root = dirname(import.meta.dirname);

await using bundle = await rolldown({
  input: join(root, 'src/client/index.ts'),
  transform: { target: 'es2022' },
});
await bundle.write({
  file: join(root, 'client/index.js'),
  format: 'esm',
  banner: '// Generated from src/client by scripts/print-client.ts.',
});
