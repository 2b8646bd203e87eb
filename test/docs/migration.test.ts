import { NoDeprecatedCustomRule, parse, specifiedRules, validate } from 'graphql';
import { expect, test } from 'vitest';
import { CHANNELS, COMMON_ERRORS } from '../../src/bridge/contract/channels.ts';
import type { EmittedChannel } from '../../src/bridge/contract/frame-schemas.ts';
import { schema } from '../../src/schema/index.ts';
import { readPage } from './migration-page.ts';
import { findCodeBlocks, readProjectFile } from './snippets.ts';

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
const findSections = (part: string) => page.filter((section) => section.part === part);
const findNames = (text: string) => [...text.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name);
const listTitleNames = (part: string) => new Set(findSections(part).flatMap(({ title }) => findNames(title)));

test('every inbound channel has a section, with an operation unless it does nothing', () => {
  const documented = listTitleNames('What you emit');
  documented.delete('after_message_id');
  expect([...documented].toSorted()).toEqual(['disconnect', ...CHANNELS.map(({ name }) => name)].toSorted());
  const sectionsWithoutCode = findSections('What you emit').filter(({ scripts }) => scripts.length === 0);
  expect(sectionsWithoutCode.flatMap(({ title }) => findNames(title))).toEqual(
    CHANNELS.filter(({ description }) => description.startsWith('Does nothing')).map(({ name }) => name),
  );
});

test('every outbound channel has a section', () => {
  expect([...listTitleNames('What you listen to')].toSorted()).toEqual(Object.keys(EMITTED).toSorted());
});

test('every operation is valid and uses nothing deprecated', async () => {
  const text = await readProjectFile('docs/migration.md');
  const blocks = findCodeBlocks(text, 'graphql');
  const inline = findNames(text.replaceAll(/^```[^]*?^```/gm, '')).filter((code) =>
    /^\w+ \{.*\}$/.test(code),
  );
  expect([blocks.length, inline.length]).toEqual([20, 2]);
  for (const block of [...blocks, ...inline.map((selection) => `{ ${selection} }`)]) {
    const errors = validate(schema, parse(block), [...specifiedRules, NoDeprecatedCustomRule]);
    expect({ block, errors }).toEqual({ block, errors: [] });
  }
});

test('every error text is in the table, with its channels and its codes', () => {
  const rows = findSections('Texts of `error`').flatMap(({ cells }) => cells.slice(1));
  const table = new Map(
    rows.map(([text = '', on = '', codes = '']) => [
      text.replaceAll('`', ''),
      { channels: findNames(on), codes: codes.match(/[A-Z]{3,}_?[A-Z]*/g) ?? [] },
    ]),
  );
  const texts = new Set<string>();
  const expectRow = (text: string, codes: readonly string[], channel?: string) => {
    texts.add(text);
    expect({ text, ...table.get(text) }).toMatchObject({
      codes: expect.arrayContaining([...codes]),
      channels: channel === undefined ? expect.anything() : expect.arrayContaining([channel]),
    });
  };
  for (const { name, unauthenticatedError, missingFieldError, errors } of CHANNELS) {
    // Every channel that needs an account: the table names it only where the text is specific to the channel.
    if (unauthenticatedError !== null) expectRow(unauthenticatedError, ['UNAUTHENTICATED']);
    if (missingFieldError !== null) expectRow(missingFieldError, readCodesOfMissing(name), name);
    for (const { text, codes } of errors) expectRow(text, codes.length > 0 ? codes : ['INVALID_INPUT'], name);
  }
  for (const { text, codes } of COMMON_ERRORS) expectRow(text, codes.length > 0 ? codes : ['INTERNAL']);
  expect([...table.keys()].toSorted()).toEqual([...texts].toSorted());
});

/** Returns the codes for a missing parameter. A client that leaves a room sends no operation. */
function readCodesOfMissing(channel: string): string[] {
  if (channel.startsWith('leave_')) return [];
  return channel === 'authenticate' ? ['UNAUTHENTICATED'] : ['INVALID_INPUT'];
}
