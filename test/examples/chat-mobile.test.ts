import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { createAnnAndBob } from '../harness/ann-and-bob.ts';
import { startTestApp } from '../harness/app.ts';
import { ANDROID, IOS, connectMobileClient } from '../harness/mobile-clients.ts';

/** A call of `emit`, whose payload has names as strings, and values as variables. */
const EMIT = /\bemit\("(\w+)", (?:json\(|\[)(.*?)(?:\)\)|\]\))/g;

/** Reads the events that a snippet emits, with the values of its variables. */
function readEmits(file: string, values: Readonly<Record<string, unknown>>): [string, object][] {
  const source = readFileSync(`examples/chat-mobile/${file}`, 'utf8');
  return [...source.matchAll(EMIT)].map(([, channel = '', payload = '']) => [
    channel,
    Object.fromEntries(
      [...payload.matchAll(/"(\w+)"[,:] (\w+)/g)].map(([, name, variable = '']) => [name, values[variable]]),
    ),
  ]);
}

test.for([
  { file: 'Chat.java', dialect: ANDROID },
  { file: 'Chat.swift', dialect: IOS },
])(
  'what $file emits logs in, joins and sends a message, as its client encodes it',
  async ({ file, dialect }) => {
    await using app = await startTestApp();
    const { ann, conversation } = await createAnnAndBob(app);
    const emits = readEmits(file, { token: ann.token, conversationId: conversation.legacyId, text: 'hé' });
    expect(emits.map(([channel]) => channel)).toEqual(['authenticate', 'join_conversation', 'message']);
    await using client = await connectMobileClient(app.url, dialect);
    for (const [channel, payload] of emits) client.emit(channel, payload);
    expect(await client.next('42["message",')).toContain('"content":"h\\u00e9"');
  },
);
