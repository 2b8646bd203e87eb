import parserModule from '@asyncapi/parser';
import { expect, test } from 'vitest';
import { createAsyncapiDocument } from '../../scripts/asyncapi.ts';
import { emittedChannels, readShapes } from '../../scripts/legacy-contract.ts';
import { CHANNELS } from '../../src/bridge/contract/channels.ts';
import { document, isPayload, text } from './asyncapi-document.ts';

test('asyncapi.yaml is up to date, and valid for the parser of AsyncAPI', async () => {
  expect(document).toEqual(createAsyncapiDocument());
  const { document: parsed, diagnostics } = await new parserModule.Parser().parse(text);
  expect(diagnostics).toEqual([]);
  expect(parsed?.version()).toBe('3.1.0');
});

test('asyncapi.yaml contains every channel and schema in its direction', () => {
  const operations = Object.values(document.operations).map(({ action, channel, messages }) => {
    const key = channel.$ref.replace('#/channels/', '');
    return {
      action,
      channel: document.channels[key]?.address,
      messages: messages.map(({ $ref }) => $ref.replace(`#/channels/${key}/messages/`, '')),
    };
  });
  expect(operations).toEqual([
    ...CHANNELS.map(({ name }) => ({ action: 'receive', channel: name, messages: ['request'] })),
    ...emittedChannels.map((channel) => ({
      action: 'send',
      channel,
      messages: Object.keys(readShapes(channel)),
    })),
  ]);
});

test('every message has a valid example, and client messages have an empty acknowledgement', () => {
  for (const [key, { messages }] of Object.entries(document.channels)) {
    for (const [message, { examples = [], 'x-ack': acknowledgement }] of Object.entries(messages)) {
      expect(examples.length, `${key} ${message}`).toBeGreaterThan(0);
      for (const { payload } of examples)
        expect(isPayload(key, message, payload), `${key} ${message} ${JSON.stringify(payload)}`).toBe(true);
      expect(acknowledgement).toEqual(message === 'request' ? [] : undefined);
    }
  }
});

test.for([
  ['an additional key', 'circle', 'changed', { event: 'update', circle_id: 3, name: 'Clan' }],
  ['a missing key', 'writing', 'user', { conversation_id: 12, device: false, is_writing: true }],
  ['a float for an id', 'device_created', 'created', { circle_id: 3.5 }],
  ['an id beyond int32', 'device_created', 'created', { circle_id: 2 ** 31 }],
  ['a string for an id', 'device_created', 'created', { circle_id: '3' }],
  ['an unknown text', 'error', 'refused', 'Something else'],
] as const)('%s is invalid', ([, channel, message, payload]) => {
  expect(isPayload(channel, message, payload)).toBe(false);
});

test('a date with a time zone and an unexpected null are invalid', () => {
  const [example] = document.channels['message']?.messages['done']?.examples ?? [];
  const done = example?.payload as { time: string; sender: object; message: object };
  expect(isPayload('message', 'done', done)).toBe(true);
  expect(isPayload('message', 'done', { ...done, time: `${done.time}Z` })).toBe(false);
  expect(isPayload('message', 'done', { ...done, message: { ...done.message, link_id: null } })).toBe(false);
  expect(isPayload('message', 'done', { ...done, sender: { ...done.sender, birthday: null } })).toBe(true);
});
