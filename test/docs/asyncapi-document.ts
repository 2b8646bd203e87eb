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

/** The text of asyncapi.yaml. */
export const text = readFileSync(new URL('../../asyncapi.yaml', import.meta.url), 'utf8');
export const document = parse(text) as Document;

const ajv = new Ajv({ strict: true, allowUnionTypes: true });
ajv.addVocabulary(Object.keys(document));
ajv.addSchema(document, 'asyncapi.yaml');

/** Returns whether a value is valid against the payload schema of a message. */
export function isPayload(channel: string, message: string, payload: unknown): boolean {
  const validate = ajv.getSchema(`asyncapi.yaml#/channels/${channel}/messages/${message}/payload`);
  if (validate === undefined) throw new Error(`The document has no ${channel} ${message}`);
  return validate(payload) === true;
}

/** Returns the documented name of a received event, such as `message.done`, or the event itself if unknown. */
export function readEventName(packet: string): string {
  const [address, payload] = JSON.parse(packet.slice('42'.length)) as [string, unknown];
  const [key = '', channel] =
    Object.entries(document.channels).find(([, value]) => value.address === address) ?? [];
  const messages = Object.keys(channel?.messages ?? {}).filter((message) => message !== 'request');
  const matching = messages.filter((message) => isPayload(key, message, payload));
  return matching.length === 1 ? `${address}.${matching[0]}` : packet;
}
