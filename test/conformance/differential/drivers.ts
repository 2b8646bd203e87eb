import type { LegacyOptions, Entity, TestAccount } from '../../../src/testing/index.ts';

/** The actions that have a legacy channel, over either API. */
export interface Driver extends AsyncDisposable {
  joinRooms(circle: Entity, conversation: Entity): Promise<void>;
  /** Returns the legacy ids of the media to upload. */
  sendMessage(
    conversation: Entity,
    text: string,
    files?: readonly string[],
  ): Promise<readonly Entity['legacyId'][]>;
  setTyping(conversation: Entity, isTyping: boolean): Promise<void>;
  sendSignal(callee: TestAccount, message: unknown): Promise<void>;
  uploadMedia(mediaId: number, filename: string): Promise<void>;
}

export type OpenDriver = (account: TestAccount, url: string) => Promise<Driver>;

export const openGraphqlDriver: OpenDriver = async ({ graphql, token }, url) => ({
  async joinRooms() {
    // GraphQL has no rooms: a subscription needs no join.
  },
  async sendMessage({ id }, text, files) {
    const { sendMessage } = await graphql.run<{ sendMessage: { media: { legacyId: number }[] } }>(
      'mutation ($id: ID!, $text: String!, $files: [String!]) { sendMessage(conversationId: $id, text: $text, files: $files) { media { legacyId } } }',
      { id, text, files },
    );
    return sendMessage.media.map(({ legacyId }) => legacyId);
  },
  async setTyping({ id }, isTyping) {
    await graphql.run(
      'mutation ($id: ID!, $isTyping: Boolean!) { setTyping(conversationId: $id, isTyping: $isTyping) }',
      { id, isTyping },
    );
  },
  async sendSignal({ id, legacyId }, message) {
    await graphql.run(
      'mutation ($to: SignalTarget!, $content: JSON!) { sendSignal(to: $to, content: $content) }',
      { to: { userId: id }, content: { user_id: legacyId, message } },
    );
  },
  async uploadMedia(mediaId, filename) {
    const body = new FormData();
    const query = 'mutation ($id: ID!, $file: Upload!) { uploadMedia(mediaId: $id, file: $file) { id } }';
    const variables = { id: `Media:${mediaId}`, file: null };
    body.set('operations', JSON.stringify({ query, variables }));
    body.set('map', JSON.stringify({ 0: ['variables.file'] }));
    body.set('0', new Blob(['content']), filename);
    await postForm(`${url}/graphql`, body, `Bearer ${token}`);
  },
  async [Symbol.asyncDispose]() {
    // The account owns its GraphQL client.
  },
});

/** Creates drivers that act over a legacy client with these options. */
export const createLegacyDrivers =
  (options: LegacyOptions): OpenDriver =>
  async (account, url) => {
    const legacyClient = await account.connectLegacy(options);
    return {
      async joinRooms(circle, conversation) {
        await legacyClient.push('join_circle', { circle_id: circle.legacyId });
        await legacyClient.push('join_conversation', { conversation_id: conversation.legacyId });
      },
      async sendMessage(conversation, text, files) {
        const payload = { conversation_id: conversation.legacyId, text_message: text };
        await legacyClient.push('message', files === undefined ? payload : { ...payload, files });
        if (files === undefined) return [];
        const { media_list: media } = await legacyClient.expect<{ media_list: { id: number }[] }>('media');
        return media.map(({ id }) => id);
      },
      async setTyping(conversation, isTyping) {
        await legacyClient.push('writing', { conversation_id: conversation.legacyId, is_writing: isTyping });
      },
      async sendSignal(callee, message) {
        await legacyClient.push('webrtc_forward', { user_id: callee.legacyId, message });
      },
      async uploadMedia(mediaId, filename) {
        const body = new FormData();
        body.set('file', new Blob(['content']), filename);
        await postForm(`${url}/media/upload/${mediaId}`, body, account.token);
      },
      [Symbol.asyncDispose]: () => legacyClient[Symbol.asyncDispose](),
    };
  };

/** Posts a form. Throws if the response is an HTTP error or has GraphQL errors. */
async function postForm(url: string, body: FormData, authorization: string): Promise<void> {
  const response = await fetch(url, {
    method: 'POST',
    body,
    headers: { authorization, 'apollo-require-preflight': 'true' },
  });
  const text = await response.text();
  if (!response.ok || text.includes('"errors"')) throw new Error(`${response.status} ${text}`);
}
