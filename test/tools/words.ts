import { globSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { parse, visit } from 'graphql';
import { parseSync, Visitor } from 'oxc-parser';
import type { Argument, Expression } from 'oxc-parser';

/** A text for human readers, with the line where it begins. */
interface Prose {
  readonly text: string;
  readonly line: number;
  readonly kind: 'comment' | 'docstring' | 'message' | 'test title' | 'description' | 'document';
}

export interface Finding {
  readonly file: string;
  readonly line: number;
  readonly found: string;
  readonly advice: string;
}

export interface Word {
  readonly pattern: RegExp;
  /** Standard terms to use instead. */
  readonly use: string;
}

/** A file that may use a banned word, as a name or in a quotation. */
export interface Exemption {
  readonly file: string;
  readonly found: string;
  readonly reason: string;
}

const LOG_METHODS = /^(trace|debug|info|warn|error|fatal)$/;
const ERROR_FACTORIES = /^(unauthenticated|forbidden|notFound|invalidInput|conflict|[a-z]\w*Error)$/;
const TEST_FUNCTIONS = /^(test|it|describe)$/;
/** A docstring that begins with a clause instead of a verb or noun. */
const CLAUSE = /^(?:What|Who|Whoever|Of)\b/;

/** Returns every banned word in the files, in order of file and line. Paths are relative to `root`. */
export function findWords(
  root: string,
  files: readonly string[],
  words: readonly Word[],
  exemptions: readonly Exemption[],
): Finding[] {
  return files.flatMap((file) => {
    const exempt = new Set(exemptions.filter((one) => one.file === file).map(({ found }) => found));
    return readProse(file, readFileSync(join(root, file), 'utf8'))
      .flatMap((prose) => findInProse(file, prose, words))
      .filter(({ found }) => !exempt.has(found));
  });
}

/** Returns the files of the folders that contain prose, without generated and vendored ones. */
export function listFiles(root: string, folders: readonly string[]): string[] {
  const patterns = folders.flatMap((folder) =>
    extname(folder) === '' ? [`${folder}/**/*.{ts,js,mjs,cjs,md,graphql}`] : [folder],
  );
  return globSync(patterns, { cwd: root, exclude: ['**/node_modules/**', '**/vendor/**'] })
    .filter((file) => !/\.generated\.|\.d\.ts$/.test(file))
    .sort();
}

function findInProse(file: string, { text, line, kind }: Prose, words: readonly Word[]): Finding[] {
  const findLine = (index: number): number => line + text.slice(0, index).split('\n').length - 1;
  const findings = words.flatMap(({ pattern, use }) =>
    Array.from(text.matchAll(matchAcrossLines(pattern)), (match) => ({
      file,
      line: findLine(match.index),
      found: match[0].toLowerCase().replace(/\s+/g, ' '),
      advice: `use ${use}`,
    })),
  );
  const [clause] = kind === 'docstring' && file.startsWith('src/') ? (CLAUSE.exec(text) ?? []) : [];
  if (clause !== undefined)
    findings.push({ file, line, found: clause, advice: 'begin a docstring with a verb or a noun' });
  return findings;
}

/** Makes a pattern match across line breaks. */
const matchAcrossLines = ({ source }: RegExp): RegExp =>
  new RegExp(source.replaceAll(' ', String.raw`\s+`), 'gi');

function readProse(file: string, text: string): Prose[] {
  if (extname(file) === '.md') return readDocument(text);
  if (extname(file) === '.graphql') return readDescriptions(text);
  return readModule(file, text);
}

/** Reads a document with its code blanked out, so that line numbers stay. */
function readDocument(text: string): Prose[] {
  const blankOut = (code: string): string => code.replace(/[^\n]/g, '`');
  return [{ text: text.replace(/^```[\s\S]*?^```|`[^`\n]*`/gm, blankOut), line: 1, kind: 'document' }];
}

function readDescriptions(text: string): Prose[] {
  const prose: Prose[] = [];
  visit(parse(text), {
    StringValue({ value, loc }, key) {
      if (key === 'description')
        prose.push({ text: value, line: loc?.startToken.line ?? 1, kind: 'description' });
    },
  });
  return prose;
}

/** Reads the comments of a module, and the texts of its logs, errors and test titles. */
function readModule(file: string, text: string): Prose[] {
  const { program, comments, errors } = parseSync(file, text);
  const [error] = errors;
  if (error !== undefined) throw new Error(`${file} cannot be parsed: ${error.message}`);
  const findLine = (offset: number): number => text.slice(0, offset).split('\n').length;
  const prose: Prose[] = joinLines(comments, text).map(({ start, value, isDocstring }) => ({
    text: value,
    line: findLine(start),
    kind: isDocstring ? 'docstring' : 'comment',
  }));
  const add = (kind: Prose['kind'], args: readonly Argument[]): void => {
    for (const argument of args)
      for (const value of readTexts(argument))
        prose.push({ text: value, line: findLine(argument.start), kind });
  };
  new Visitor({
    NewExpression({ callee, arguments: args }) {
      if (readName(callee)?.endsWith('Error') === true) add('message', args);
    },
    CallExpression({ callee, arguments: args }) {
      const kind = kindOfCall(callee);
      if (kind !== undefined) add(kind, args);
    },
  }).visit(program);
  return prose;
}

/** Joins line comments that follow each other into one text, and strips the stars of block comments. */
function joinLines(
  comments: readonly { type: 'Line' | 'Block'; value: string; start: number; end: number }[],
  text: string,
): { value: string; start: number; isDocstring: boolean }[] {
  const joined: { value: string; start: number; end: number; isDocstring: boolean; isLine: boolean }[] = [];
  for (const { type, value, start, end } of comments) {
    const last = joined.at(-1);
    const isLine = type === 'Line';
    if (isLine && last?.isLine === true && /^\n[ \t]*$/.test(text.slice(last.end, start))) {
      last.value += `\n${value.trim()}`;
      last.end = end;
    } else {
      const isDocstring = value.startsWith('*');
      const plain = value.replace(/^\*|^[ \t]*\*(?!\/)/gm, '');
      joined.push({
        value: isDocstring ? plain.replace(/^ /, '') : plain.trim(),
        start,
        end,
        isDocstring,
        isLine,
      });
    }
  }
  return joined;
}

function kindOfCall(callee: Expression): Prose['kind'] | undefined {
  // In `test.for(…)(title, …)`, the title is an argument of the second call.
  if (callee.type === 'CallExpression')
    return kindOfCall(callee.callee) === 'test title' ? 'test title' : undefined;
  if (callee.type === 'MemberExpression') {
    const object = readName(callee.object);
    if (callee.property.type === 'Identifier' && object !== undefined) {
      if (/^(log|console)$/i.test(object) && LOG_METHODS.test(callee.property.name)) return 'message';
      if (TEST_FUNCTIONS.test(object)) return 'test title';
    }
    return undefined;
  }
  const name = readName(callee);
  if (name === undefined) return undefined;
  if (TEST_FUNCTIONS.test(name)) return 'test title';
  return ERROR_FACTORIES.test(name) ? 'message' : undefined;
}

/** Returns the last name of `log`, `deps.log` and `this.#deps.log`. */
function readName(node: Expression): string | undefined {
  if (node.type === 'Identifier') return node.name;
  if (node.type === 'MemberExpression' && node.property.type === 'Identifier') return node.property.name;
  return undefined;
}

function readTexts(node: Argument): string[] {
  if (node.type === 'Literal') return typeof node.value === 'string' ? [node.value] : [];
  if (node.type === 'TemplateLiteral') return node.quasis.map(({ value }) => value.cooked ?? '');
  return [];
}
