import type { Entity, TestAccount, TestSubscription } from '../../src/testing/index.ts';

export interface Participation {
  readonly call: { readonly id: string; readonly eventCursor: string };
  readonly participant: { readonly id: string };
}

const PARTICIPATION = 'call { id eventCursor } participant { id }';

/** Starts a call in a conversation over HTTP, or joins the one in progress. */
export async function startCall(
  account: TestAccount,
  { id }: Entity,
  idempotencyKey?: string,
): Promise<Participation> {
  const { startCall: started } = await account.graphql.run<{ startCall: Participation }>(
    `mutation ($id: ID!, $key: String) { startCall(conversationId: $id, idempotencyKey: $key) { ${PARTICIPATION} } }`,
    { id, key: idempotencyKey },
  );
  return started;
}

/** Joins a call over HTTP. */
export async function joinCall(account: TestAccount, callId: string): Promise<Participation> {
  const { joinCall: joined } = await account.graphql.run<{ joinCall: Participation }>(
    `mutation ($id: ID!) { joinCall(callId: $id) { ${PARTICIPATION} } }`,
    { id: callId },
  );
  return joined;
}

export const leaveCall = (account: TestAccount, participantId: string) =>
  account.graphql.run<{ leaveCall: { id: string; participants: readonly { id: string }[] } }>(
    'mutation ($id: ID!) { leaveCall(participantId: $id) { id participants { id } } }',
    { id: participantId },
  );

export interface CallState {
  readonly id: string;
  readonly participants: readonly { readonly id: string; readonly actor: { readonly id: string } | null }[];
}

export async function readCalls(account: TestAccount, { id }: Entity): Promise<readonly CallState[]> {
  const { calls } = await account.graphql.run<{ calls: readonly CallState[] }>(
    'query ($id: ID) { calls(conversationId: $id) { id participants { id actor { ... on User { id } ... on Device { id } } } } }',
    { id },
  );
  return calls;
}

export const CALL_EVENTS = /* GraphQL */ `
  subscription CallEvents($id: ID!, $after: Cursor, $participantId: ID) {
    callEvents(conversationId: $id, after: $after, participantId: $participantId) {
      __typename
      cursor
      ... on CallStarted {
        callId
      }
      ... on CallParticipantJoined {
        callId
        participant {
          ...Who
        }
      }
      ... on CallParticipantLeft {
        callId
        reason
        participant {
          ...Who
        }
      }
      ... on CallEnded {
        callId
      }
    }
  }
  fragment Who on CallParticipant {
    id
    actor {
      ... on User {
        email
      }
      ... on Device {
        name
      }
    }
  }
`;

export interface CallEventOptions {
  readonly after?: string;
  readonly participantId?: string;
}

/** Subscribes to the calls of a conversation. Without `after`, resolves when the subscription is live. */
export async function subscribeToCalls(
  account: TestAccount,
  { id }: Entity,
  options: CallEventOptions = {},
): Promise<TestSubscription> {
  const events = account.graphql.subscribe(CALL_EVENTS, { id, ...options });
  if (options.after === undefined) await events.nextOf('StreamLive');
  return events;
}
