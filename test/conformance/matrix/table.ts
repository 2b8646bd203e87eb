import { readFile, writeFile } from 'node:fs/promises';
import { format, resolveConfig } from 'prettier';
import { LIMITATIONS } from './check.ts';
import { CHECKS, TRANSPORTS } from './run.ts';
import type { MatrixResults } from './run.ts';

const DOCUMENT = new URL('../../../docs/legacy-clients.md', import.meta.url);
const BEGIN = '<!-- Written by test/conformance/matrix: -->';
const END = '<!-- Until here. -->';

/** Whether every check of every kind of client has passed. */
export const isComplete = (results: MatrixResults): boolean =>
  results.kinds.every((kind) =>
    TRANSPORTS.every((transport) => CHECKS.every(({ title }) => results.has(kind, transport, title))),
  );

/** Returns docs/legacy-clients.md as it is, and with the results between its markers. */
export async function renderDocument(results: MatrixResults): Promise<{ current: string; rendered: string }> {
  const current = await readFile(DOCUMENT, 'utf8');
  const [begin, end] = [current.indexOf(BEGIN) + BEGIN.length, current.indexOf(END)];
  if (begin < BEGIN.length || end < begin) throw new Error('docs/legacy-clients.md has no markers.');
  const text = `${current.slice(0, begin)}\n\n${renderResults(results)}\n\n${current.slice(end)}`;
  const config = await resolveConfig(DOCUMENT);
  return { current, rendered: await format(text, { ...config, parser: 'markdown' }) };
}

export const writeDocument = (text: string): Promise<void> => writeFile(DOCUMENT, text);

function renderResults(results: MatrixResults): string {
  const renderRow = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const table = [
    renderRow(['', ...CHECKS.map(({ title }) => title)]),
    renderRow(['---', ...CHECKS.map(() => ':-:')]),
    ...results.kinds.map((kind) =>
      renderRow([kind, ...CHECKS.map(({ title }) => renderCell(results, kind, title))]),
    ),
  ];
  const limitations = Object.values(LIMITATIONS).map(({ mark, description }) => `${mark} ${description}`);
  const checks = CHECKS.map(({ title, description }) => `- **${title}**: ${description}`);
  return [table.join('\n'), ...limitations, 'What is checked:', checks.join('\n')].join('\n\n');
}

/** Returns one mark for all transports, or one for each if they differ. */
function renderCell(results: MatrixResults, kind: string, title: string): string {
  const marks = TRANSPORTS.map((transport) => results.get(kind, transport, title)?.mark ?? '✓');
  return new Set(marks).size === 1 ? (marks[0] ?? '') : marks.join(' ');
}
