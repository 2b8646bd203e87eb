import { existsSync } from 'node:fs';
import { NoDeprecatedCustomRule, parse, specifiedRules, validate } from 'graphql';
import { expect, test } from 'vitest';
import { CHANNELS, COMMON_REFUSALS } from '../../src/bridge/contract/channels.ts';
import type { EmittedChannel } from '../../src/bridge/contract/frame-schemas.ts';
import { schema } from '../../src/schema/index.ts';
import { readPage } from './migration-page.ts';
import { blocksOf, read } from './snippets.ts';

// Static checks of docs/migration.md. The other files of this name run its code.

const EMITTED = {
  success: true,
  error: true,
  circle: true,
  circle_invite: true,
  conversation: true,
  'device created': true,
  media: true,
  message: true,
  writing: true,
  webrtc_config: true,
  webrtc_forward: true,
} satisfies Record<EmittedChannel, true>;

const page = await readPage();
const sectionsOf = (part: string) => page.filter((section) => section.part === part);
const namesIn = (text: string) => [...text.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name);
const titled = (part: string) => new Set(sectionsOf(part).flatMap(({ title }) => namesIn(title)));

test('every inbound channel has a section, with an operation unless it does nothing', () => {
  const documented = titled('What you emit');
  documented.delete('after_message_id');
  expect([...documented].toSorted()).toEqual(['disconnect', ...CHANNELS.map(({ name }) => name)].toSorted());
  const silent = sectionsOf('What you emit').filter(({ scripts }) => scripts.length === 0);
  expect(silent.flatMap(({ title }) => namesIn(title))).toEqual(
    CHANNELS.filter(({ description }) => description.startsWith('Does nothing')).map(({ name }) => name),
  );
});

test('every outbound channel has a section', () => {
  expect([...titled('What you listen to')].toSorted()).toEqual(Object.keys(EMITTED).toSorted());
});

test('every operation is valid, and nothing in it is deprecated', async () => {
  const text = await read('docs/migration.md');
  const blocks = blocksOf(text, 'graphql');
  const inline = namesIn(text.replaceAll(/^```[^]*?^```/gm, '')).filter((code) => /^\w+ \{.*\}$/.test(code));
  expect([blocks.length, inline.length]).toEqual([20, 2]);
  for (const block of [...blocks, ...inline.map((selection) => `{ ${selection} }`)]) {
    const errors = validate(schema, parse(block), [...specifiedRules, NoDeprecatedCustomRule]);
    expect({ block, errors }).toEqual({ block, errors: [] });
  }
});

test('every error text is in the table, with its channels and its codes', () => {
  const rows = sectionsOf('Texts of `error`').flatMap(({ cells }) => cells.slice(1));
  const table = new Map(
    rows.map(([text = '', on = '', codes = '']) => [
      text.replaceAll('`', ''),
      { channels: namesIn(on), codes: codes.match(/[A-Z]{3,}_?[A-Z]*/g) ?? [] },
    ]),
  );
  const texts = new Set<string>();
  const knows = (text: string, codes: readonly string[], channel?: string) => {
    texts.add(text);
    expect({ text, ...table.get(text) }).toMatchObject({
      codes: expect.arrayContaining([...codes]),
      channels: channel === undefined ? expect.anything() : expect.arrayContaining([channel]),
    });
  };
  for (const { name, anonymous, missing, refusals } of CHANNELS) {
    // Every channel that needs an account: the table names it only where the text is specific to the channel.
    if (anonymous !== null) knows(anonymous, ['UNAUTHENTICATED']);
    if (missing !== null) knows(missing, codesOfMissing(name), name);
    for (const { text, codes } of refusals) knows(text, codes.length > 0 ? codes : ['INVALID_INPUT'], name);
  }
  for (const { text, codes } of COMMON_REFUSALS) knows(text, codes.length > 0 ? codes : ['INTERNAL']);
  expect([...table.keys()].toSorted()).toEqual([...texts].toSorted());
});

/** A missing required variable is invalid input; a client that left a room sends nothing. */
function codesOfMissing(channel: string): string[] {
  if (channel.startsWith('leave_')) return [];
  return channel === 'authenticate' ? ['UNAUTHENTICATED'] : ['INVALID_INPUT'];
}

test('every link leads to something', async () => {
  const text = await read('docs/migration.md');
  for (const [, file = '', anchor] of text.matchAll(/\]\((?!http)([^)#]*)(?:#([^)]+))?\)/g)) {
    const path = file === '' ? 'docs/migration.md' : new URL(file, 'file:///docs/').pathname.slice(1);
    expect(existsSync(new URL(`../../${path}`, import.meta.url)), path).toBe(true);
    if (anchor !== undefined) expect(anchorsOf(await read(path)), `${path}#${anchor}`).toContain(anchor);
  }
});

/** Returns the anchors of headings as GitHub generates them: a repeated one gets a number. */
function anchorsOf(text: string): string[] {
  const seen = new Map<string, number>();
  return [...text.matchAll(/^#+ (.*)$/gm)].map(([, title = '']) => {
    const anchor = title
      .toLowerCase()
      .replaceAll(/[^\w\- ]/g, '')
      .replaceAll(' ', '-');
    const before = seen.get(anchor) ?? 0;
    seen.set(anchor, before + 1);
    return before === 0 ? anchor : `${anchor}-${before}`;
  });
}
