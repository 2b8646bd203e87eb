// @ts-check
// Load test of a gateway with k6 1.0 or newer: subscribers over graphql-ws, and messages over HTTP.
//
//   k6 run --env URL=https://staging.example.com --env SUBSCRIBERS=500 --env MESSAGES_PER_SECOND=50 deploy/k6/parley.js
//
// It creates an account for each conversation (CONVERSATIONS, 5), which needs SIGN_UP=on; with more than 10, RATE_LIMITS=off.
// Run it against a test system: the accounts stay. The subscribers reconnect as graphql-ws clients do, so nodes can be
// restarted meanwhile.
import { check } from 'k6';
import exec from 'k6/execution';
import http from 'k6/http';
import { Counter, Rate, Trend } from 'k6/metrics';
import { setTimeout } from 'k6/timers';
import { WebSocket } from 'k6/websockets';

const URL = (__ENV.URL ?? 'http://127.0.0.1:4000').replace(/\/$/, '');
const SUBSCRIBERS = Number(__ENV.SUBSCRIBERS ?? 100);
const MESSAGES_PER_SECOND = Number(__ENV.MESSAGES_PER_SECOND ?? 10);
const CONVERSATIONS = Number(__ENV.CONVERSATIONS ?? 5);
const SECONDS = Number(__ENV.SECONDS ?? 60);
/** Time for the subscribers to connect before the first message, and to receive the last one. */
const MARGIN_SECONDS = 10;
const RETRY_MS = 1000;

export const options = {
  scenarios: {
    subscribers: {
      executor: 'per-vu-iterations',
      exec: 'subscribe',
      vus: SUBSCRIBERS,
      iterations: 1,
      maxDuration: `${SECONDS + 4 * MARGIN_SECONDS}s`,
    },
    messages: {
      executor: 'constant-arrival-rate',
      exec: 'sendMessage',
      rate: MESSAGES_PER_SECOND,
      timeUnit: '1s',
      startTime: `${MARGIN_SECONDS}s`,
      duration: `${SECONDS}s`,
      preAllocatedVUs: Math.max(1, MESSAGES_PER_SECOND),
    },
  },
  thresholds: {
    http_req_failed: ['rate<0.001'],
    http_req_duration: ['p(95)<250', 'p(99)<1000'],
    delivery_ms: ['p(95)<250', 'p(99)<1000'],
    stream_errors: ['count==0'],
    live_subscriptions: ['rate>0.99'],
    checks: ['rate>0.999'],
  },
};

/** From the call of the sender to the event at a subscriber, by the clock of this machine. */
const delivery = new Trend('delivery_ms', true);
/** Streams that ended with an error: of an end of the connection they know nothing. */
const streamErrors = new Counter('stream_errors');
/** Whether a subscriber was live when it ended. */
const liveSubscriptions = new Rate('live_subscriptions');
const reconnects = new Counter('reconnects');

const CREATE_ACCOUNT = /* GraphQL */ `
  mutation CreateAccount($input: CreateAccountInput!) {
    createAccount(input: $input) {
      token
    }
  }
`;
const CREATE_CIRCLE = /* GraphQL */ `
  mutation CreateCircle {
    createCircle(name: "Load test") {
      id
    }
  }
`;
const CREATE_CONVERSATION = /* GraphQL */ `
  mutation CreateConversation($circleId: ID!) {
    createConversation(circleId: $circleId, name: "Load test", emails: []) {
      id
    }
  }
`;
const SEND_MESSAGE = /* GraphQL */ `
  mutation SendMessage($id: ID!, $text: String!, $key: String!) {
    sendMessage(conversationId: $id, text: $text, idempotencyKey: $key) {
      message {
        id
      }
    }
  }
`;
const EVENTS = /* GraphQL */ `
  subscription Events($id: ID!, $after: Cursor) {
    conversationEvents(conversationId: $id, after: $after) {
      __typename
      cursor
      ... on MessageSent {
        message {
          text
        }
      }
    }
  }
`;

/** @typedef {{ token: string, id: string }} Conversation */

/**
 * Creates the conversations, each of an account of its own.
 * @returns {Conversation[]}
 */
export function setup() {
  const run = `${Date.now()}-${Math.floor(Math.random() * 1e9)}`;
  return Array.from({ length: CONVERSATIONS }, (_, index) => {
    const input = {
      email: `load-${run}-${index}@example.com`,
      password: `load ${run}`,
      firstName: 'Load',
      lastName: String(index),
    };
    const { token } = request(CREATE_ACCOUNT, { input }).createAccount;
    const { id: circleId } = request(CREATE_CIRCLE, {}, token).createCircle;
    const { id } = request(CREATE_CONVERSATION, { circleId }, token).createConversation;
    return { token, id };
  });
}

/**
 * Subscribes to one of the conversations until the end of the test.
 * @param {Conversation[]} conversations
 */
export function subscribe(conversations) {
  const { token, id } = conversations[exec.vu.idInTest % conversations.length];
  /** @type {string | undefined} */
  let after;
  let isLive = false;
  let isOver = false;
  /** @type {WebSocket} */
  let socket;

  const connect = () => {
    socket = new WebSocket(`${URL.replace(/^http/, 'ws')}/graphql`, null, {
      headers: { 'Sec-WebSocket-Protocol': 'graphql-transport-ws' },
    });
    const send = (message) => socket.send(JSON.stringify(message));
    socket.onopen = () => send({ type: 'connection_init', payload: { token } });
    socket.onmessage = (event) => {
      const { data } = /** @type {{ data: string }} */ (event);
      const { type, payload } = JSON.parse(data);
      if (type === 'connection_ack')
        send({ id: '1', type: 'subscribe', payload: { query: EVENTS, variables: { id, after } } });
      else if (type === 'ping') send({ type: 'pong' });
      else if (type === 'next') receive(payload);
      else if (type === 'error') streamErrors.add(1);
    };
    socket.onclose = () => {
      if (isOver) return;
      isLive = false;
      reconnects.add(1);
      setTimeout(connect, RETRY_MS * (0.5 + Math.random()));
    };
  };
  const receive = ({ data, errors }) => {
    if (errors) {
      streamErrors.add(1);
      return;
    }
    const event = data.conversationEvents;
    after = event.cursor;
    if (event.__typename === 'StreamLive') isLive = true;
    if (event.__typename === 'MessageSent') delivery.add(Date.now() - Number(event.message.text));
  };

  connect();
  setTimeout(
    () => {
      liveSubscriptions.add(isLive);
      isOver = true;
      socket.close();
    },
    (SECONDS + 2 * MARGIN_SECONDS) * 1000,
  );
}

/**
 * Sends the time as a message to one of the conversations.
 * @param {Conversation[]} conversations
 */
export function sendMessage(conversations) {
  const number = exec.scenario.iterationInTest;
  const { token, id } = conversations[number % conversations.length];
  request(SEND_MESSAGE, { id, text: String(Date.now()), key: `load-${number}` }, token);
}

/** Runs an operation over HTTP and returns its data. Fails the iteration if it has errors. */
function request(query, variables, token) {
  const headers = { 'Content-Type': 'application/json', Accept: 'application/graphql-response+json' };
  if (token !== undefined) headers.Authorization = `Bearer ${token}`;
  const response = http.post(`${URL}/graphql`, JSON.stringify({ query, variables }), { headers });
  const { data, errors } = JSON.parse(/** @type {string} */ (response.body));
  check(response, { 'the operation succeeds': ({ status }) => status === 200 && errors === undefined });
  if (errors !== undefined) throw new Error(JSON.stringify(errors));
  return data;
}
