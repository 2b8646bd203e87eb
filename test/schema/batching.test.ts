import { execute, parse } from 'graphql';
import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { createContext } from '../../src/schema/context.ts';
import { schema } from '../../src/schema/index.ts';
import { openSchemaClient } from './schema-client.ts';
import type { SchemaClient } from './schema-client.ts';
import type { ActorRef } from '../../src/actor.ts';

/** Creates a circle with two members and the given numbers of conversations and messages. */
async function seedConversations(
  client: SchemaClient,
  name: string,
  conversations: number,
  messages: number,
) {
  const ann = await client.createUser(`Ann${name}`);
  const bob = await client.createUser(`Bob${name}`);
  const { createCircle } = await client.run(ann, 'mutation { createCircle(name: "Family") { id } }');
  const { inviteToCircle } = await client.run(
    ann,
    'mutation ($id: ID!, $email: String!) { inviteToCircle(circleId: $id, email: $email) { id } }',
    { id: createCircle.id, email: bob.email },
  );
  await client.run(bob, 'mutation ($id: ID!) { acceptCircleInvitation(invitationId: $id) { id } }', {
    id: inviteToCircle.id,
  });
  for (let index = 0; index < conversations; index += 1) {
    const { createConversation } = await client.run(
      ann,
      'mutation ($id: ID!, $emails: [String!]) { createConversation(circleId: $id, name: "Talk", emails: $emails) { id } }',
      { id: createCircle.id, emails: [bob.email] },
    );
    for (let count = 0; count < messages; count += 1) {
      await client.run(
        count % 2 === 0 ? ann : bob,
        'mutation ($id: ID!) { sendMessage(conversationId: $id, text: "Hello", files: ["a.png"]) { message { id } } }',
        { id: createConversation.id },
      );
    }
  }
  return ann;
}

const FULL_QUERY = /* GraphQL */ `
  query FullQuery {
    circles {
      nodes {
        name
        eventCursor
        myRole
        device {
          isOnline
        }
        members {
          nodes {
            role
            user {
              email
              isOnline
            }
          }
        }
        invitations {
          nodes {
            id
          }
        }
        conversations {
          nodes {
            name
            eventCursor
            myRole
            participants {
              nodes {
                role
                user {
                  email
                  isOnline
                }
              }
            }
            messages(last: 20) {
              nodes {
                text
                author {
                  __typename
                  ... on User {
                    email
                    isOnline
                  }
                }
                participant {
                  role
                }
                media {
                  identifier
                }
              }
            }
          }
        }
      }
    }
  }
`;

test('a nested query takes a constant number of statements, regardless of the amount of data', async () => {
  await using client = await openSchemaClient();
  const annOfSmall = await seedConversations(client, 'Small', 1, 1);
  const annOfLarge = await seedConversations(client, 'Large', 5, 6);
  client.statements.count = 0;
  const smallResponse = await client.run(annOfSmall, FULL_QUERY);
  const smallCount = client.statements.count;
  client.statements.count = 0;
  const largeResponse = await client.run(annOfLarge, FULL_QUERY);
  // Loads of the same kind share a statement unless they start in different ticks.
  expect(Math.max(smallCount, client.statements.count)).toBeLessThan(25);
  expect(smallResponse.circles.nodes[0].conversations.nodes[0].messages.nodes).toHaveLength(1);
  expect(largeResponse.circles.nodes[0].conversations.nodes).toHaveLength(5);
  expect(largeResponse.circles.nodes[0].conversations.nodes[4].messages.nodes[5]).toEqual({
    text: 'Hello',
    author: { __typename: 'User', email: 'boblarge@example.com', isOnline: false },
    participant: { role: 'STANDARD' },
    media: [{ identifier: 'a.png' }],
  });
});

test('the numbers of unread messages of all conversations take no statement of their own', async () => {
  await using client = await openSchemaClient();
  const ann = await seedConversations(client, 'Large', 3, 4);
  const run = async (selection: string) => {
    client.statements.count = 0;
    const { circles } = await client.run(
      ann,
      `{ circles { nodes { conversations { nodes { name ${selection} } } } } }`,
    );
    return { count: client.statements.count, nodes: circles.nodes[0].conversations.nodes };
  };
  const { count } = await run('');
  const withCounts = await run('unreadCount');
  expect(withCounts.count).toBe(count);
  expect(withCounts.nodes).toMatchObject([{ unreadCount: 2 }, { unreadCount: 2 }, { unreadCount: 2 }]);
  expect((await run('lastReadMessage { id }')).count).toBe(count + 1);
});

test('the read receipts of all participants take one statement, and none unless they are selected', async () => {
  await using client = await openSchemaClient();
  const ann = await seedConversations(client, 'Large', 3, 4);
  const count = async (selection: string) => {
    client.statements.count = 0;
    await client.run(ann, `{ circles { nodes { conversations { nodes { ${selection} } } } } }`);
    return client.statements.count;
  };
  const withoutReceipts = await count('unreadCount participants { nodes { role } }');
  const receipts = 'readReceipts participants { nodes { role lastReadMessage { text } } }';
  expect(await count(`unreadCount ${receipts}`)).toBe(withoutReceipts + 1);
  expect(await count(`unreadCount deviceLastReadMessage { text } ${receipts}`)).toBe(withoutReceipts + 2);
});

const INITIAL_QUERY = /* GraphQL */ `
  query InitialQuery {
    circles {
      nodes {
        name
        conversations {
          nodes {
            name
            participants {
              nodes {
                role
                user {
                  email
                  isOnline
                }
              }
            }
            messages(last: 20) {
              nodes {
                text
                author {
                  ... on User {
                    email
                    isOnline
                  }
                }
              }
            }
          }
        }
      }
    }
  }
`;

/** Inserts circles of two members, with conversations and messages in each. */
async function insertCircles(
  client: SchemaClient,
  name: string,
  circles: number,
  conversations: number,
  messages: number,
) {
  const ann = await client.createUser(`Ann${name}`);
  const { db } = client.deps;
  await sql`
    with circle as (
      insert into circles (name) select 'Family' from generate_series(1, ${circles}::int) returning id
    ), member as (
      insert into memberships (circle_id, user_id, role) select id, ${ann.id}, 'ADMIN' from circle
    ), conversation as (
      insert into conversations (circle_id, name)
      select id, 'Talk' from circle, generate_series(1, ${conversations}::int) returning id
    ), other as (
      insert into users (email, first_name, last_name)
      select ${name} || number || '@example.com', 'Bob', 'Test' from generate_series(1, ${circles}::int) as number
      returning id
    ), participant as (
      insert into participants (conversation_id, user_id, role)
      select conversation.id, person.id, 'STANDARD'
      from conversation, (select id from other union all select ${ann.id}::int) as person
    )
    insert into messages (conversation_id, author_user_id, text, status, media_count)
    select id, ${ann.id}, 'Hello', 'DONE', 0 from conversation, generate_series(1, ${messages}::int)
  `.execute(db);
  return ann;
}

/** Runs the initial query on one connection. Counts its statements, and those that were prepared. */
async function runInitialQuery(client: SchemaClient, actor: ActorRef) {
  const session = { actor, tokenId: 'test', issuedAt: null, expiresAt: Date.now() + 60_000 };
  const contextValue = createContext({ deps: client.deps, session });
  await contextValue.enterSnapshot();
  const countRuns = async (): Promise<number> => {
    const { rows } = await sql<{ runs: number }>`
      select coalesce(sum(generic_plans + custom_plans), 0)::int as runs from pg_prepared_statements
    `.execute(contextValue.deps.db);
    return rows[0]?.runs ?? 0;
  };
  const before = await countRuns();
  client.statements.count = 0;
  const { data, errors } = await execute({ schema, document: parse(INITIAL_QUERY), contextValue });
  const statements = client.statements.count;
  const prepared = (await countRuns()) - before;
  await contextValue.leaveSnapshot();
  expect(errors).toBeUndefined();
  return { statements, prepared, text: JSON.stringify(data) };
}

test('the initial query of an app takes at most six statements, all prepared, regardless of the amount of data', async () => {
  await using client = await openSchemaClient();
  const small = await runInitialQuery(client, await insertCircles(client, 'small', 1, 1, 1));
  const large = await runInitialQuery(client, await insertCircles(client, 'large', 5, 5, 25));
  // Circles, conversations, participants and messages, and users: in one statement if participants and messages arrive
  // in the same tick, otherwise in two.
  for (const { statements, prepared } of [small, large]) {
    expect(statements).toBeGreaterThanOrEqual(5);
    expect(statements).toBeLessThanOrEqual(6);
    expect(prepared).toBe(statements);
  }
  expect(small.text.split('Hello')).toHaveLength(1 + 1);
  expect(large.text.split('Hello')).toHaveLength(5 * 5 * 20 + 1);
});

const CONVERSATIONS_OF_MESSAGES = /* GraphQL */ `
  query ConversationsOfMessages {
    circles {
      nodes {
        conversations {
          nodes {
            messages(last: 20) {
              nodes {
                conversation {
                  myRole
                  participants {
                    nodes {
                      id
                    }
                  }
                  messages(last: 1) {
                    nodes {
                      id
                    }
                  }
                }
              }
            }
          }
        }
      }
    }
  }
`;

test('access to the conversation of each item is checked in one statement, regardless of the number of items', async () => {
  await using client = await openSchemaClient();
  const countFor = async (actor: ActorRef): Promise<number> => {
    client.statements.count = 0;
    await client.run(actor, CONVERSATIONS_OF_MESSAGES);
    return client.statements.count;
  };
  const forOne = await countFor(await insertCircles(client, 'one', 1, 1, 1));
  const forMany = await countFor(await insertCircles(client, 'many', 3, 5, 20));
  // Circles, conversations, messages and their conversations; access; roles, participants and messages of those.
  expect(Math.max(forOne, forMany)).toBeLessThanOrEqual(8);
});

test('a page that is selected twice is returned twice, without duplicates', async () => {
  await using client = await openSchemaClient();
  const ann = await insertCircles(client, 'twice', 1, 1, 3);
  const data = await client.run(
    ann,
    `{ circles { nodes { conversations { nodes {
      a: messages(last: 3) { nodes { id } pageInfo { hasPreviousPage } }
      b: messages(last: 3) { nodes { id } pageInfo { hasPreviousPage } }
    } } } } }`,
  );
  const page = {
    nodes: [1, 2, 3].map((number) => ({ id: `Message:${number}` })),
    pageInfo: { hasPreviousPage: false },
  };
  expect(data).toEqual({
    circles: { nodes: [{ conversations: { nodes: [{ a: page, b: page }] } }] },
  });
});

test('the second mutation of a document does not return data that the first has read', async () => {
  await using client = await openSchemaClient();
  const ann = await seedConversations(client, '', 0, 0);
  const eve = await client.createUser('Eve');
  const { circles } = await client.run(ann, '{ circles { nodes { id } } }');
  const data = await client.run(
    ann,
    `mutation ($id: ID!, $email: String!) {
      before: updateCircle(circleId: $id, name: "A") { name invitations { nodes { id } } }
      inviteToCircle(circleId: $id, email: $email) { circle { invitations { nodes { email } } } }
      after: updateCircle(circleId: $id, name: "B") { name invitations { nodes { email } } }
    }`,
    { id: circles.nodes[0].id, email: eve.email },
  );
  expect(data).toEqual({
    before: { name: 'A', invitations: { nodes: [] } },
    inviteToCircle: { circle: { invitations: { nodes: [{ email: eve.email }] } } },
    after: { name: 'B', invitations: { nodes: [{ email: eve.email }] } },
  });
});

test('a query in a snapshot reads only from the snapshot', async () => {
  await using client = await openSchemaClient();
  const ann = await seedConversations(client, '', 2, 2);
  const session = { actor: ann, tokenId: 'test', issuedAt: null, expiresAt: Date.now() + 60_000 };
  // PGlite has one connection: a read outside the snapshot would never return.
  const contextValue = createContext({ deps: client.deps, session });
  await contextValue.enterSnapshot();
  const { data, errors } = await execute({ schema, document: parse(FULL_QUERY), contextValue });
  await contextValue.leaveSnapshot();
  expect(errors).toBeUndefined();
  expect(JSON.parse(JSON.stringify(data))).toEqual(await client.run(ann, FULL_QUERY));
});

test('a root field that is selected many times is read once', async () => {
  await using client = await openSchemaClient();
  const ann = await client.createUser('Ann');
  const aliases = (count: number) =>
    Array.from({ length: count }, (_, index) => `a${index}: me { __typename }`).join(' ');
  const countOf = async (count: number): Promise<number> => {
    client.statements.count = 0;
    await client.run(ann, `{ ${aliases(count)} }`);
    return client.statements.count;
  };
  expect(await countOf(100)).toBe(await countOf(1));
});
