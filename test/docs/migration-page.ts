import { expect } from 'vitest';
import { readProjectFile } from './snippets.ts';

/** A GraphQL operation of docs/migration.md with its variables and its results, in order. */
export interface Operation {
  readonly query: string;
  variables: Record<string, unknown> | undefined;
  readonly results: unknown[];
  /** The rows of the table below it. */
  readonly rows: Row[];
}

/** One action, its legacy frame, and its GraphQL event. */
export interface Row {
  readonly action: string;
  readonly frame: unknown;
  readonly event: unknown;
}

export interface Section {
  /** The heading above it. */
  readonly part: string;
  readonly title: string;
  /** The code blocks in JavaScript: the legacy code first. */
  readonly scripts: string[];
  readonly operations: Operation[];
  /** The cells of its tables, without the header rows. */
  readonly cells: string[][];
}

/** Parses docs/migration.md into its sections. */
export async function readPage(): Promise<Section[]> {
  const sections: Section[] = [];
  let part = '';
  let query = '';
  const text = await readProjectFile('docs/migration.md');
  for (const piece of text.split(/^(?=##+ )/m)) {
    const [, heading, title = ''] = /^(##+) (.*)$/m.exec(piece) ?? [];
    if (heading === undefined) continue;
    if (heading === '##') part = title;
    const section: Section = { part, title, scripts: [], operations: [], cells: [] };
    for (const [, language, code = '', line = ''] of piece.matchAll(
      /^```(\w+)\n([^]*?)^```|^(\|(?! [-:]).*)\|$/gm,
    )) {
      if (language === 'js') section.scripts.push(code);
      if (language === 'graphql') {
        query = code;
        section.operations.push(createOperation(query));
      }
      if (language === 'json') addResults(section, query, code);
      if (language === undefined) addRow(section, line);
    }
    sections.push(section);
  }
  return sections;
}

const createOperation = (query: string): Operation => ({
  query,
  variables: undefined,
  results: [],
  rows: [],
});

/** Parses consecutive JSON values. A block without an operation belongs to the last operation before it. */
function addResults(section: Section, query: string, code: string): void {
  if (section.operations.length === 0) section.operations.push(createOperation(query));
  const operation = section.operations.at(-1);
  for (const text of code.split(/^(?=\{)/m)) {
    const value = JSON.parse(text) as { variables?: Record<string, unknown> };
    if (operation === undefined) continue;
    if (value.variables === undefined) operation.results.push(value);
    else operation.variables = value.variables;
  }
}

function addRow(section: Section, line: string): void {
  const cells = line
    .split('|')
    .slice(1)
    .map((cell) => cell.trim());
  section.cells.push(cells);
  const [by = '', frame = '', event = ''] = cells;
  const [, type, fields] = /^(?:`(\w+)` )?`(\{.*\})`$/.exec(event) ?? [];
  if (fields === undefined) return;
  const named = type === undefined ? {} : { __typename: type, cursor: '…' };
  section.operations.at(-1)?.rows.push({
    action: by.replaceAll('`', ''),
    frame: parse(frame.replaceAll('`', '')),
    event: { ...named, ...(parse(fields) as object) },
  });
}

/** Returns the frames that comments of legacy code name, in order. */
export function readFrames(script: string): { readonly channel: string; readonly payload: unknown }[] {
  return [...script.matchAll(/^\/\/ ([a-z_]+): (.*)$/gm)].map(([, channel = '', payload = '']) => ({
    channel,
    payload: parse(payload),
  }));
}

/** Parses JSON in which `…` stands for omitted keys. */
const parse = (text: string): unknown => JSON.parse(text.replaceAll(/([{,])…/g, '$1"…":true'));

const LEGACY_DATE = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?$/;
const DATE = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

/** Returns a matcher for a documented value: any date in the same format, anything for `…`, otherwise the value. */
export function createMatcher(documented: unknown): unknown {
  if (Array.isArray(documented)) return documented.map(createMatcher);
  if (typeof documented === 'object' && documented !== null) {
    const entries = Object.entries(documented).map(([key, value]) => [key, createMatcher(value)] as const);
    const fields = Object.fromEntries(entries.filter(([key]) => key !== '…'));
    return '…' in documented ? expect.objectContaining(fields) : fields;
  }
  if (typeof documented !== 'string') return documented;
  for (const form of [LEGACY_DATE, DATE]) if (form.test(documented)) return expect.stringMatching(form);
  if (!documented.includes('…')) return documented;
  const parts = documented.split('…').map((part) => part.replaceAll(/\W/g, '\\$&'));
  return expect.stringMatching(new RegExp(`^${parts.join('.+')}$`));
}
