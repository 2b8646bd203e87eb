import pg from 'pg';
import { createTokens } from '../src/domain/tokens.ts';
import type { UserId } from '../src/ids.ts';

export const AUTH_SECRET = 'of the benches, for nothing else';

/** So many accounts in one circle, each taking part in one of its conversations, in turn. */
export interface World {
  readonly accounts: number;
  readonly conversations: number;
}

/** Fills a new database, which the server has migrated. Account n is `User:n`, and takes part in one conversation as participant n. */
export async function populate(url: string, { accounts, conversations }: World): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(`
    insert into users (email, first_name, last_name)
      select 'account' || n || '@example.com', 'Test', 'Number ' || n from generate_series(1, ${accounts}) as n;
    insert into circles (name) values ('Everybody');
    insert into memberships (circle_id, user_id, role)
      select 1, n, 'MEMBER' from generate_series(1, ${accounts}) as n;
    insert into conversations (circle_id, name)
      select 1, 'Conversation ' || n from generate_series(1, ${conversations}) as n;
    insert into participants (conversation_id, user_id, role)
      select (n - 1) % ${conversations} + 1, n, 'STANDARD' from generate_series(1, ${accounts}) as n;
    insert into topics (topic)
      select 'user:' || n from generate_series(1, ${accounts}) as n
      union all select 'conversation:' || n from generate_series(1, ${conversations}) as n
      union all select 'circle:1';
    analyze;
  `);
  await client.end();
}

/** A token of each account, in their order. */
export async function tokensOf({ accounts }: World): Promise<string[]> {
  const tokens = createTokens({ secret: AUTH_SECRET });
  const issued = Array.from({ length: accounts }, (_, index) =>
    tokens.issue({ kind: 'user', id: (index + 1) as UserId }),
  );
  return (await Promise.all(issued)).map(({ token }) => token);
}
