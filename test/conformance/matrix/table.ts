import { readFile, writeFile } from 'node:fs/promises';
import { format, resolveConfig } from 'prettier';
import { LIMITS } from './check.ts';
import { CHECKS, TRANSPORTS } from './run.ts';
import type { Findings } from './run.ts';

const FILE = new URL('../../../docs/legacy-clients.md', import.meta.url);
const BEGIN = '<!-- Written by test/conformance/matrix: -->';
const END = '<!-- Until here. -->';

/** Whether every check of every kind of client has passed. */
export const isComplete = (findings: Findings): boolean =>
  findings.kinds.every((kind) =>
    TRANSPORTS.every((transport) => CHECKS.every(({ title }) => findings.has(kind, transport, title))),
  );

/** Returns docs/legacy-clients.md with the findings between its marks. */
export async function withFindings(findings: Findings): Promise<{ before: string; after: string }> {
  const before = await readFile(FILE, 'utf8');
  const [head, tail] = [before.indexOf(BEGIN) + BEGIN.length, before.indexOf(END)];
  if (head < BEGIN.length || tail < head) throw new Error('docs/legacy-clients.md has no marks.');
  const text = `${before.slice(0, head)}\n\n${render(findings)}\n\n${before.slice(tail)}`;
  const config = await resolveConfig(FILE);
  return { before, after: await format(text, { ...config, parser: 'markdown' }) };
}

export const write = (text: string): Promise<void> => writeFile(FILE, text);

function render(findings: Findings): string {
  const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const table = [
    row(['', ...CHECKS.map(({ title }) => title)]),
    row(['---', ...CHECKS.map(() => ':-:')]),
    ...findings.kinds.map((kind) => row([kind, ...CHECKS.map(({ title }) => cell(findings, kind, title))])),
  ];
  const limits = Object.values(LIMITS).map(({ mark, about }) => `${mark} ${about}`);
  const checks = CHECKS.map(({ title, about }) => `- **${title}**: ${about}`);
  return [table.join('\n'), ...limits, 'What is checked:', checks.join('\n')].join('\n\n');
}

/** Returns one mark for all transports, or one for each if they differ. */
function cell(findings: Findings, kind: string, title: string): string {
  const marks = TRANSPORTS.map((transport) => findings.get(kind, transport, title)?.mark ?? '✓');
  return new Set(marks).size === 1 ? (marks[0] ?? '') : marks.join(' ');
}
