import { readFileSync } from 'node:fs';
import { Ajv } from 'ajv';
import { parse } from 'yaml';

interface Message {
  readonly payload: object;
  readonly examples?: readonly { readonly payload: unknown }[];
  readonly 'x-ack'?: unknown;
}

interface Operation {
  readonly action: string;
  readonly channel: { readonly $ref: string };
  readonly messages: readonly { readonly $ref: string }[];
}

interface Document {
  readonly channels: Record<string, { readonly address: string; readonly messages: Record<string, Message> }>;
  readonly operations: Record<string, Operation>;
}

/** The parsed asyncapi.yaml of the checkout. */
export const text = readFileSync(new URL('../../asyncapi.yaml', import.meta.url), 'utf8');
export const document = parse(text) as Document;

const ajv = new Ajv({ strict: true, allowUnionTypes: true });
ajv.addVocabulary(Object.keys(document));
ajv.addSchema(document, 'asyncapi.yaml');

/** Returns whether a value is valid against the payload schema of a message. */
export function isPayload(channel: string, message: string, payload: unknown): boolean {
  const validate = ajv.getSchema(`asyncapi.yaml#/channels/${channel}/messages/${message}/payload`);
  if (validate === undefined) throw new Error(`the document has no ${channel} ${message}`);
  return validate(payload) === true;
}

/** Returns the document's name for a received event, such as `message.done`; the event itself if it is unknown. */
export function nameOf(packet: string): string {
  const [address, payload] = JSON.parse(packet.slice('42'.length)) as [string, unknown];
  const [key = '', channel] =
    Object.entries(document.channels).find(([, it]) => it.address === address) ?? [];
  const messages = Object.keys(channel?.messages ?? {}).filter((message) => message !== 'request');
  const fitting = messages.filter((message) => isPayload(key, message, payload));
  return fitting.length === 1 ? `${address}.${fitting[0]}` : packet;
}
