import type { Entity, TestAccount, TestGateway } from '../../src/testing/index.ts';
import { sendMessage } from './ann-and-bob.ts';

/** A valid image of one pixel. */
export const PNG = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
);

/** Uploads a declared file as legacy apps do. */
export async function uploadFile(
  { url }: Pick<TestGateway, 'url'>,
  { token }: Pick<TestAccount, 'token'>,
  mediaId: string,
  content: string | Uint8Array<ArrayBuffer>,
  name = 'upload.bin',
): Promise<void> {
  const body = new FormData();
  body.set('file', new File([content], name));
  const response = await fetch(`${url}/media/upload/${mediaId.replace('Media:', '')}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}` },
    body,
  });
  if (!response.ok) throw new Error(`The upload failed: ${await response.text()}`);
}

/** Sends a message with one file and uploads it. */
export async function sendFile(
  app: Pick<TestGateway, 'url'>,
  account: TestAccount,
  conversation: Entity,
  content: string | Uint8Array<ArrayBuffer>,
  name = 'upload.bin',
) {
  const { sendMessage: sent } = await sendMessage(account, conversation, '', [name]);
  const mediaId = sent.media[0]?.id ?? '';
  await uploadFile(app, account, mediaId, content, name);
  return { mediaId, messageId: sent.message.id };
}

/** Queries the signed URL of a file, on the server's origin. */
export async function readMediaUrl(
  { url }: Pick<TestGateway, 'url'>,
  { graphql }: Pick<TestAccount, 'graphql'>,
  mediaId: string,
): Promise<string> {
  const { node } = await graphql.run<{ node: { url: string } }>(
    'query ($id: ID!) { node(id: $id) { ... on Media { url } } }',
    { id: mediaId },
  );
  return url + node.url;
}
