// Writes the tables of docs/scaling.md between their markers: the constants of the capacity model, and what it gives.
import { readFileSync, writeFileSync } from 'node:fs';
import { TABLES } from './simulation/report.ts';

const page = new URL('../docs/scaling.md', import.meta.url);

function formatTable([head = [], ...rows]: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

let text = readFileSync(page, 'utf8');
for (const [name, create] of Object.entries(TABLES)) {
  const markers = new RegExp(`(<!-- ${name} -->\n).*?(<!-- /${name} -->)`, 's');
  if (!markers.test(text)) throw new Error(`docs/scaling.md has no markers of ${name}`);
  text = text.replace(
    markers,
    (_, begin: string, end: string) => `${begin}\n${formatTable(create())}\n\n${end}`,
  );
}
writeFileSync(page, text);
