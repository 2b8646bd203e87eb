import { writeFile } from 'node:fs/promises';
import { VARIABLES } from '../src/config-variables.ts';

const rows = Object.entries(VARIABLES).map(
  ([name, { default: fallback, description }]) => `| \`${name}\` | ${fallback} | ${description} |`,
);

const text = `# Configuration

For operators: all settings are environment variables; none is required. They are read once, at start; all invalid ones are
reported together. An empty variable counts as unset. This page is generated from
\`src/config-variables.ts\`: \`npm run drift\` regenerates it.

| variable | default | description |
|---|---|---|
${rows.join('\n')}

With \`DATA_DIR=memory\` nothing is persisted: the database is in memory, and uploaded media are in a temporary folder that
is removed at exit.
`;

await writeFile(new URL('../docs/configuration.md', import.meta.url), text);
