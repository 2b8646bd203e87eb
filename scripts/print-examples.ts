// Copies examples into docs/clients.md: replaces each block after a line `<!-- examples/… -->` by that file.
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const root = dirname(import.meta.dirname);
const page = join(root, 'docs', 'clients.md');
const text = readFileSync(page, 'utf8');
writeFileSync(
  page,
  text.replaceAll(
    /^<!-- (examples\/\S+) -->\n\n```(\w+)\n.*?^```$/gms,
    (_, path: string, language: string) =>
      `<!-- ${path} -->\n\n\`\`\`${language}\n${readFileSync(join(root, path), 'utf8')}\`\`\``,
  ),
);
