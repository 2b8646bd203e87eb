import { writeFile } from 'node:fs/promises';
import { VARIABLES } from '../src/config.ts';

const rows = Object.entries(VARIABLES).map(
  ([name, { default: fallback, about }]) => `| \`${name}\` | ${fallback} | ${about} |`,
);

const text = `# Configuration

Everything is set by environment variables; none is needed. They are read once, at start; all mistakes are reported at
once. An empty variable counts as absent. This page is generated from \`src/config.ts\` by \`npm run drift\`.

| variable | default | what it does |
|---|---|---|
${rows.join('\n')}

With \`DATA_DIR=memory\` nothing is kept: the database is in memory, and uploaded media are in a temporary folder that is
removed at exit.
`;

await writeFile(new URL('../docs/configuration.md', import.meta.url), text);
