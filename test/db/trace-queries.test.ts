import { expect, test } from 'vitest';
import { describeStatement } from '../../src/db/trace-queries.ts';

test.each([
  ['begin', 'BEGIN', undefined],
  ['commit', 'COMMIT', undefined],
  ['select 1', 'SELECT', undefined],
  ['select "a" from "users" where "b" = $1 for update', 'SELECT', 'users'],
  ['insert into "users" ("a") values ($1)', 'INSERT', 'users'],
  ['with input as (select 1), added as (insert into users select * from input) select 1', 'INSERT', 'users'],
  ['update "nodes" set "a" = $1', 'UPDATE', 'nodes'],
  ['update nodes as n set a = $1', 'UPDATE', 'nodes'],
  ['delete from "users" where "a" = $1', 'DELETE', 'users'],
])('the statement %s is named %s of %s', (text, operation, table) => {
  expect(describeStatement(text)).toEqual({ operation, table });
});
