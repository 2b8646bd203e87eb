import type { LegacyOptions, Entity, TestAccount } from '../../../src/testing/index.ts';

/** The actions that have a legacy channel, over either API. */
export interface Hand extends AsyncDisposable {
  join(circle: Entity, conversation: Entity): Promise<void>;
  /** Returns the legacy ids of the media to upload. */
  say(conversation: Entity, text: string, files?: readonly string[]): Promise<readonly Entity['legacyId'][]>;
  type(conversation: Entity, isTyping: boolean): Promise<void>;
  call(callee: TestAccount, message: unknown): Promise<void>;
  upload(mediaId: number, filename: string): Promise<void>;
}

export type OpenHand = (account: TestAccount, url: string) => Promise<Hand>;

export const graphqlHand: OpenHand = async ({ graphql, token }, url) => ({
  async join() {
    // Every participant has joined.
  },
  async say({ id }, text, files) {
    const { sendMessage } = await graphql.run<{ sendMessage: { media: { legacyId: number }[] } }>(
      'mutation ($id: ID!, $text: String!, $files: [String!]) { sendMessage(conversationId: $id, text: $text, files: $files) { media { legacyId } } }',
      { id, text, files },
    );
    return sendMessage.media.map(({ legacyId }) => legacyId);
  },
  async type({ id }, isTyping) {
    await graphql.run(
      'mutation ($id: ID!, $is: Boolean!) { setTyping(conversationId: $id, isTyping: $is) }',
      {
        id,
        is: isTyping,
      },
    );
  },
  async call({ id, legacyId }, message) {
    await graphql.run(
      'mutation ($to: SignalTarget!, $content: JSON!) { sendSignal(to: $to, content: $content) }',
      {
        to: { userId: id },
        content: { user_id: legacyId, message },
      },
    );
  },
  async upload(mediaId, filename) {
    const body = new FormData();
    const query = 'mutation ($id: ID!, $file: Upload!) { uploadMedia(mediaId: $id, file: $file) { id } }';
    const variables = { id: `Media:${mediaId}`, file: null };
    body.set('operations', JSON.stringify({ query, variables }));
    body.set('map', JSON.stringify({ 0: ['variables.file'] }));
    body.set('0', new Blob(['content']), filename);
    await requireOk(`${url}/graphql`, body, `Bearer ${token}`);
  },
  async [Symbol.asyncDispose]() {
    // Nothing was opened.
  },
});

/** The hand of an app that has such a client. */
export const legacyHand =
  (options: LegacyOptions): OpenHand =>
  async (account, url) => {
    const client = await account.connectLegacy(options);
    return {
      async join(circle, conversation) {
        await client.push('join_circle', { circle_id: circle.legacyId });
        await client.push('join_conversation', { conversation_id: conversation.legacyId });
      },
      async say(conversation, text, files) {
        const payload = { conversation_id: conversation.legacyId, text_message: text };
        await client.push('message', files === undefined ? payload : { ...payload, files });
        if (files === undefined) return [];
        const { media_list: list } = await client.expect<{ media_list: { id: number }[] }>('media');
        return list.map(({ id }) => id);
      },
      async type(conversation, isTyping) {
        await client.push('writing', { conversation_id: conversation.legacyId, is_writing: isTyping });
      },
      async call(callee, message) {
        await client.push('webrtc_forward', { user_id: callee.legacyId, message });
      },
      async upload(mediaId, filename) {
        const body = new FormData();
        body.set('file', new Blob(['content']), filename);
        await requireOk(`${url}/media/upload/${mediaId}`, body, account.token);
      },
      [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
    };
  };

async function requireOk(url: string, body: FormData, authorization: string): Promise<void> {
  const response = await fetch(url, {
    method: 'POST',
    body,
    headers: { authorization, 'apollo-require-preflight': 'true' },
  });
  const text = await response.text();
  if (!response.ok || text.includes('"errors"')) throw new Error(`${response.status} ${text}`);
}
