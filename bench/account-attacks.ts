import { setTimeout as sleep } from 'node:timers/promises';
import {
  aliases,
  base,
  bearer,
  createConversation,
  flood,
  graphql,
  hold,
  loop,
  openWebSocket,
  post,
  range,
  run,
  subscribe,
  text,
  tokens,
} from './attack-tools.ts';
import type { Attacks } from './attack-tools.ts';

const SEND =
  'mutation($id: ID!, $text: String!) { sendMessage(conversationId: $id, text: $text) { message { id } } }';

/** Attacks with accounts, by name. */
export const ACCOUNT_ATTACKS: Attacks = {
  'queries-me': () => loop(12, (index) => post(graphql(aliases(781, 'me { __typename }')), bearer(index))),
  'queries-at-limit': () =>
    loop(48, (index) => post(graphql(aliases(140, 'me { __typename }')), bearer(index))),
  'queries-nodes': () =>
    loop(12, (index) => post(graphql(aliases(90, 'node(id: "User:1") { __typename id }')), bearer(index))),
  'queries-circles': () =>
    loop(12, (index) =>
      post(
        graphql(
          aliases(
            30,
            'circles(first: 100) { edges { node { id eventCursor members(first: 100) { edges { node { id } } } } } }',
          ),
        ),
        bearer(index),
      ),
    ),
  signals: async () => {
    for (let round = 0; ; round += 1) {
      const socket = await openWebSocket(bearer(round));
      for (const index of range(200)) socket.send(subscribe(index, 'subscription { signals { content } }'));
      await sleep(300);
      socket.pause();
      const { data } = JSON.parse(
        (await post(graphql('{ me { id } }'), bearer(round))).replace(/^\d+ /, ''),
      ) as {
        data?: { me?: { id: string } };
      };
      const SEND =
        'mutation($id: ID!, $content: JSON!) { sendSignal(to: { userId: $id }, content: $content) }';
      await Promise.all(
        range(60).map(() => post(graphql(SEND, { id: data?.me?.id, content: text(250_000) }), bearer(round))),
      );
      await sleep(500);
      socket.terminate();
    }
  },
  subscriptions: () =>
    hold(40, async (index) => {
      const socket = await openWebSocket(bearer(index));
      flood(socket, (id) => subscribe(id, `subscription s${id} { inboxEvents { __typename } }`));
      return socket;
    }),
  circles: () =>
    loop(40, (index, round) =>
      post(graphql(`mutation { createCircle(name: "${index} ${round}") { id } }`), bearer(index)),
    ),
  messages: async () => {
    const ids = await Promise.all(tokens.map((_, index) => createConversation(index)));
    for (const [index, id] of ids.entries()) {
      const socket = await openWebSocket(bearer(index));
      for (const at of range(50))
        socket.send(
          subscribe(
            at,
            `subscription s${at} { conversationEvents(conversationId: "${id}") { ... on MessageSent { message { text } } } }`,
          ),
        );
      socket.pause();
    }
    loop(48, (index) =>
      post(graphql(SEND, { id: ids[index % ids.length], text: text(16_000) }), bearer(index)),
    );
  },
  'conversation-subscriptions': async () => {
    const ids = await Promise.all(tokens.map((_, index) => createConversation(index)));
    hold(24, async (index) => {
      const socket = await openWebSocket(bearer(index));
      for (const at of range(1_000))
        socket.send(
          subscribe(
            at,
            `subscription s${at} { conversationEvents(conversationId: "${ids[index % ids.length]}") { cursor } }`,
          ),
        );
      return socket;
    });
  },
  'distinct-subscriptions': async () => {
    const ids = await Promise.all(tokens.slice(0, 4).map((_, index) => createConversation(index)));
    for (const [index, id] of ids.entries()) {
      const socket = await openWebSocket(bearer(index));
      for (const at of range(1_000))
        socket.send(
          subscribe(
            at,
            `subscription s${at} { conversationEvents(conversationId: "${id}") { ... on MessageSent { message { text } } } }`,
          ),
        );
    }
    loop(16, (index) =>
      post(graphql(SEND, { id: ids[index % ids.length], text: 'text' }), bearer(index % ids.length)),
    );
  },
  marks: async () => {
    const targets = await Promise.all(
      tokens.map(async (_, index) => {
        const id = await createConversation(index);
        const { sent } = await run<{ sent: { message: { id: string } } }>(
          index,
          'mutation($id: ID!) { sent: sendMessage(conversationId: $id, text: "text") { message { id } } }',
          { id },
        );
        return { id, messageId: sent.message.id };
      }),
    );
    hold(40, async (index) => {
      const socket = await openWebSocket(bearer(index));
      socket.send(subscribe(0, 'subscription { inboxEvents { __typename } }'));
      flood(socket, (at) =>
        subscribe(
          at + 1,
          'mutation($id: ID!, $messageId: ID!) { markRead(conversationId: $id, messageId: $messageId) { unreadCount } }',
          targets[index % targets.length],
        ),
      );
      return socket;
    });
  },
  calls: async () => {
    const ids = await Promise.all(tokens.map((_, index) => createConversation(index)));
    hold(40, async (index) => {
      const socket = await openWebSocket(bearer(index));
      const id = ids[index % ids.length];
      for (const at of range(100))
        socket.send(
          subscribe(at, `subscription s${at} { callEvents(conversationId: "${id}") { __typename } }`),
        );
      flood(socket, (at) =>
        subscribe(
          100 + at,
          'mutation($id: ID!, $key: String) { startCall(conversationId: $id, idempotencyKey: $key) { participant { id } } }',
          { id, key: `${index} ${at}` },
        ),
      );
      return socket;
    });
  },
  'refreshed-tokens': () =>
    loop(24, async (index) => {
      let token = tokens[index % tokens.length] ?? '';
      for (;;) {
        const reply = await post(graphql('mutation { refreshToken { token } }'), {
          authorization: `Bearer ${token}`,
        });
        token = /"token":"([^"]+)"/.exec(reply)?.[1] ?? token;
      }
    }),
  'aborted-streams': () =>
    loop(100, async (index, round) => {
      const controller = new AbortController();
      const query = encodeURIComponent(`subscription s${round % 50} { inboxEvents { __typename } }`);
      await fetch(`${base}/graphql?query=${query}`, {
        headers: { accept: 'text/event-stream', ...bearer(index) },
        signal: controller.signal,
      });
      controller.abort();
    }),
};
