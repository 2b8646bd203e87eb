import { randomUUID } from 'node:crypto';
import { createGraphqlClient } from './graphql-client.ts';
import type { GraphqlClient, TestSubscription } from './graphql-client.ts';
import { connectLegacy } from './legacy-client.ts';
import type { LegacyClient, LegacyOptions } from './legacy-client.ts';

export interface NewAccount {
  readonly email?: string;
  readonly password?: string;
  readonly firstName?: string;
  readonly lastName?: string;
  readonly birthday?: string;
}

/** A logged-in user or device with a GraphQL client, and legacy clients on demand. */
export interface TestAccount extends AsyncDisposable {
  /** Global id, for example `User:7` or `Device:4`. */
  readonly id: string;
  /** Numeric id, as used by legacy clients. */
  readonly legacyId: number;
  /** E-mail address of a user, or username of a device. */
  readonly login: string;
  readonly token: string;
  readonly graphql: GraphqlClient;
  /** Connects a legacy client and authenticates it. */
  connectLegacy(options?: LegacyOptions): Promise<LegacyClient>;
  /** Subscribes to a conversation. Without `after`, resolves when the subscription is live. */
  subscribeToConversation(conversationId: string, after?: string): Promise<TestSubscription>;
  /** Subscribes to a circle. Without `after`, resolves when the subscription is live. */
  subscribeToCircle(circleId: string, after?: string): Promise<TestSubscription>;
  /** Subscribes to the inbox of the account. Without `after`, resolves when the subscription is live. */
  subscribeToInbox(after?: string): Promise<TestSubscription>;
}

const CREATE_ACCOUNT = /* GraphQL */ `
  mutation CreateAccount($input: CreateAccountInput!) {
    createAccount(input: $input) {
      token
      user {
        id
        legacyId
        email
      }
    }
  }
`;

const LOGIN_DEVICE = /* GraphQL */ `
  mutation LoginDevice($username: String!, $password: String!) {
    loginDevice(username: $username, password: $password) {
      token
      device {
        id
        legacyId
        username
      }
    }
  }
`;

interface Identity {
  readonly id: string;
  readonly legacyId: number;
}

/** Creates a user with a random name and e-mail address unless given, and logs in. */
export async function createTestAccount(
  url: string,
  graphql: GraphqlClient,
  values: NewAccount = {},
): Promise<TestAccount> {
  const name = randomUUID().slice(0, 8);
  const input = {
    email: `${name}@example.com`,
    password: 'correct horse',
    firstName: 'Test',
    lastName: name,
    ...values,
  };
  const { createAccount } = await graphql.run<{
    createAccount: { token: string; user: Identity & { email: string } };
  }>(CREATE_ACCOUNT, { input });
  return testAccount(url, createAccount.token, createAccount.user, createAccount.user.email);
}

/** Logs a device in with the credentials returned by `addDevice`. */
export async function loginTestDevice(url: string, username: string, password: string): Promise<TestAccount> {
  await using graphql = createGraphqlClient(url);
  const { loginDevice } = await graphql.run<{ loginDevice: { token: string; device: Identity } }>(
    LOGIN_DEVICE,
    {
      username,
      password,
    },
  );
  return testAccount(url, loginDevice.token, loginDevice.device, username);
}

function testAccount(url: string, token: string, { id, legacyId }: Identity, login: string): TestAccount {
  const graphql = createGraphqlClient(url, token);
  const legacyClients: LegacyClient[] = [];
  const subscribe = async (query: string, variables: Record<string, unknown>): Promise<TestSubscription> => {
    const subscription = graphql.subscribe(query, variables);
    if (variables['after'] === undefined) await subscription.nextOf('StreamLive');
    return subscription;
  };
  return {
    id,
    legacyId,
    login,
    token,
    graphql,
    async connectLegacy(options) {
      const client = await connectLegacy(url, options);
      legacyClients.push(client);
      await client.push('authenticate', { token });
      return client;
    },
    subscribeToConversation: (conversationId, after) =>
      subscribe(
        createSubscriptionQuery('conversationEvents(conversationId: $id, after: $after)', '$id: ID!, '),
        {
          id: conversationId,
          after,
        },
      ),
    subscribeToCircle: (circleId, after) =>
      subscribe(createSubscriptionQuery('circleEvents(circleId: $id, after: $after)', '$id: ID!, '), {
        id: circleId,
        after,
      }),
    subscribeToInbox: (after) =>
      subscribe(createSubscriptionQuery('inboxEvents(after: $after)', ''), { after }),
    async [Symbol.asyncDispose]() {
      for (const legacyClient of legacyClients) legacyClient.close();
      await graphql[Symbol.asyncDispose]();
    },
  };
}

/** Builds a subscription that selects the commonly tested fields of every durable event. */
function createSubscriptionQuery(field: string, variables: string): string {
  return /* GraphQL */ `
    subscription Events(${variables}$after: Cursor) {
      ${field} {
        __typename
        cursor
        at
        ... on MessageSent { message { id legacyId text status author { ...ActorFields } } }
        ... on MessageUpdated { message { id text author { ...ActorFields } } }
        ... on MessageDeleted { messageId }
        ... on MediaUploaded { message { id status } media { id filename extension } }
        ... on ConversationUpdated { conversation { id name } }
        ... on ParticipantJoined { user { id email } }
        ... on ParticipantLeft { user { id email } }
        ... on ParticipantPromoted { user { id email } }
        ... on ParticipantKicked { user { id email } by { id email } }
        ... on DeviceAccessChanged { allowed }
        ... on CircleUpdated { circle { id name } }
        ... on MemberJoined { user { id email } }
        ... on MemberLeft { user { id email } }
        ... on MemberKicked { user { id email } by { id email } }
        ... on DeviceAdded { device { id name } }
        ... on DeviceUpdated { device { id name } }
        ... on DeviceRemoved { device { id name } }
        ... on CircleInvited { invitation { id circle { id name } } }
        ... on ConversationInvited { conversation { id name } }
        ... on Promoted { conversation { id name } }
        ... on ReadStateChanged { conversationId messageId }
      }
    }
    fragment ActorFields on Actor {
      __typename
      ... on User { id email }
      ... on Device { id name }
    }
  `;
}
