import { sql } from 'kysely';
import { expect, test } from 'vitest';
import * as circles from '../../src/db/circles.ts';
import { findUsersWithPresence } from '../../src/db/actors.ts';
import { adoptSubject, findBySubject, findUnlinked } from '../../src/db/external-subjects.ts';
import { findCredentials } from '../../src/db/passwords.ts';
import type { Credentials } from '../../src/db/passwords.ts';
import * as users from '../../src/db/users.ts';
import type { User } from '../../src/db/tables.ts';
import type { Db, Tx } from '../../src/db/database.ts';
import { fillEmailKeys } from '../../src/db/email-keys.ts';
import { emailKeys } from '../../src/db/migrations/0003-email-keys.ts';
import type { UserId } from '../../src/ids.ts';
import { openTestDatabase } from '../harness/database.ts';

const findOne = async (db: Db | Tx, email: string): Promise<Credentials | undefined> =>
  (await findCredentials(db, [email]))[0];

async function adopt(tx: Tx, email: string, subject: string): Promise<User | undefined> {
  const id = await findUnlinked(tx, email);
  return id === undefined ? undefined : adoptSubject(tx, { id, email, subject });
}

const createNewUser = (name: string, fields: Partial<users.NewUser> = {}): users.NewUser => ({
  email: `${name}@example.com`,
  passwordHash: null,
  subject: null,
  firstName: name,
  lastName: '',
  birthday: null,
  ...fields,
});

async function createUser(tx: Tx, name: string, fields: Partial<users.NewUser> = {}) {
  const user = await users.insert(tx, createNewUser(name, fields));
  if (user === undefined) throw new Error(`The user ${name} exists already`);
  return user;
}

test('a row contains no secret, and its dates are strings', async () => {
  const { db } = await openTestDatabase();
  await db.transaction().execute(async (tx) => {
    const user = await createUser(tx, 'ann', {
      passwordHash: 'hash',
      subject: 'issuer subject',
      birthday: '1990-02-28',
    });
    expect(user).toEqual({
      id: 1,
      email: 'ann@example.com',
      firstName: 'ann',
      lastName: '',
      birthday: '1990-02-28',
      createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      updatedAt: expect.any(String),
    });
    expect(JSON.parse(JSON.stringify(user))).toEqual(user);
    expect(await users.findById(tx, user.id)).toEqual(user);
    expect(await findBySubject(tx, 'issuer subject')).toEqual(user);
    expect(await findOne(tx, 'ANN@example.com')).toEqual({ user, passwordHash: 'hash', generation: 0 });
  });
});

test('a taken e-mail or subject inserts nothing and leaves the transaction usable', async () => {
  const { db } = await openTestDatabase();
  await db.transaction().execute(async (tx) => {
    await createUser(tx, 'ann', { subject: 'a' });
    expect(await users.insert(tx, createNewUser('ANN'))).toBeUndefined();
    expect(await users.insert(tx, createNewUser('bob', { subject: 'a' }))).toBeUndefined();
    expect(await users.insert(tx, createNewUser('bob', { subject: 'b' }))).toBeDefined();
  });
});

test('e-mails beyond ASCII are compared without case', async () => {
  const { db } = await openTestDatabase();
  await db.transaction().execute(async (tx) => {
    await createUser(tx, 'ÉMILE');
    expect(await users.insert(tx, createNewUser('émile'))).toBeUndefined();
    expect(await users.findByEmail(tx, 'Émile@example.com')).toMatchObject({ email: 'ÉMILE@example.com' });
  });
});

test('all spellings of an e-mail belong to one account', async () => {
  const { db } = await openTestDatabase();
  const ids: UserId[] = [];
  await db.transaction().execute(async (tx) => {
    const zoe = await createUser(tx, 'zo\u00eb');
    for (const email of ['ZOE\u0308@example.com', 'zoë@ＥＸＡＭＰＬＥ.com', 'ｚoë@example.com']) {
      expect(await users.insert(tx, { ...createNewUser('x'), email })).toBeUndefined();
      expect(await users.findByEmail(tx, email)).toEqual(zoe);
      expect((await findOne(tx, email))?.user).toEqual(zoe);
    }
    const ann = await createUser(tx, 'ann');
    ids.push(zoe.id, ann.id);
    const renamed = await users.update(tx, ann.id, { email: 'Anna@example.com' });
    expect(await users.findByEmail(tx, 'ａnna@example.com')).toEqual(renamed);
    expect(await users.findByEmail(tx, 'ａnn@example.com')).toBeUndefined();
    expect(await users.insert(tx, createNewUser('ann'))).toBeDefined();
  });
  const change = db.transaction().execute(async (tx) => {
    expect(await users.update(tx, ids[1] as UserId, { email: 'Zoe\u0308@example.com' })).toBeUndefined();
    throw new Error('The e-mail is taken');
  });
  await expect(change).rejects.toThrow('The e-mail is taken');
});

test('accounts from before e-mail keys, whose e-mails differ only in form, stay separate', async () => {
  const { db } = await openTestDatabase();
  await sql`drop index users_email_key`.execute(db);
  await sql`alter table users drop column email_key, drop column keyed_email`.execute(db);
  const insert = (email: string) =>
    sql`
    insert into users (email, first_name, last_name) values (${email}, 'Zoë', '')`.execute(db);
  const emails = [
    'zo\u00eb@example.com',
    'zoe\u0308@example.com',
    'ann@example.com',
    'an\u200bn@example.com',
  ];
  for (const email of emails) await insert(email);
  await emailKeys.up(db);
  await fillEmailKeys(db);
  const found = await Promise.all(emails.map((email) => users.findByEmail(db, email)));
  expect(found.map((user) => user?.id)).toEqual([1, 2, 3, 4]);
  expect(await users.findByEmail(db, 'ZOË@example.com')).toMatchObject({ id: 1 });
  // As inserted by a node of the version before keys.
  await insert('eve@example.com');
  expect(await users.findByEmail(db, 'EVE@example.com')).toMatchObject({ id: 5 });
  await db.transaction().execute(async (tx) => {
    expect(await users.insert(tx, createNewUser('EVE'))).toBeUndefined();
    expect(await users.insert(tx, createNewUser('zo\u00eb'))).toBeUndefined();
    const circle = await circles.insert(tx, 'A');
    for (const user of found) {
      if (user !== undefined)
        await circles.insertMembership(tx, { circleId: circle.id, userId: user.id, role: 'MEMBER' });
    }
    expect(await users.findMembersByEmails(tx, circle.id, emails)).toEqual(found);
    expect(await adopt(tx, 'Zoe\u0308@example.com', 's')).toMatchObject({ id: 2 });
  });
});

test('an e-mail changed by a node of the previous version belongs to its user, and the former e-mail is free', async () => {
  const { db } = await openTestDatabase();
  const ann = await db.transaction().execute((tx) => createUser(tx, 'ann'));
  await sql`update users set email = 'anna@example.com' where id = ${ann.id}`.execute(db);
  const expectNewEmail = async (): Promise<void> => {
    expect(await users.findByEmail(db, 'ann@example.com')).toBeUndefined();
    expect(await findOne(db, 'ａnn@example.com')).toBeUndefined();
    expect(await users.findByEmail(db, 'ANNA@example.com')).toMatchObject({ id: ann.id });
    await db.transaction().execute(async (tx) => {
      expect(await adopt(tx, 'ann@example.com', 'another subject')).toBeUndefined();
    });
  };
  await expectNewEmail();
  await fillEmailKeys(db);
  await expectNewEmail();
  await db.transaction().execute(async (tx) => {
    expect(await users.insert(tx, { ...createNewUser('x'), email: 'ａnna@example.com' })).toBeUndefined();
    expect(await users.insert(tx, createNewUser('ann'))).toBeDefined();
  });
});

test('two nodes that start concurrently fill the keys once', async () => {
  const { db } = await openTestDatabase();
  await sql`
    insert into users (email, first_name, last_name)
    select 'user' || n || '@example.com', 'U', '' from generate_series(1, 5000) as n
  `.execute(db);
  await Promise.all([fillEmailKeys(db), fillEmailKeys(db)]);
  const { rows } = await sql<{ count: number }>`
    select count(*)::int as count from users where keyed_email = email and email_key = email
  `.execute(db);
  expect(rows).toEqual([{ count: 5_000 }]);
});

test('a subject does not adopt the account of an e-mail that only looks the same', async () => {
  const { db } = await openTestDatabase();
  await db.transaction().execute(async (tx) => {
    await createUser(tx, 'carl');
    expect(await adopt(tx, 'ｃarl@example.com', 's')).toBeUndefined();
    const zoe = await createUser(tx, 'zo\u00eb');
    expect(await adopt(tx, 'Zoe\u0308@example.com', 't')).toMatchObject({ id: zoe.id });
  });
});

test('an account adopts a subject only if it has none', async () => {
  const { db } = await openTestDatabase();
  await db.transaction().execute(async (tx) => {
    const ann = await createUser(tx, 'ann');
    expect(await adopt(tx, 'ANN@example.com', 'a')).toMatchObject({ id: ann.id });
    expect(await adopt(tx, 'ann@example.com', 'b')).toBeUndefined();
    expect(await adopt(tx, 'nobody@example.com', 'c')).toBeUndefined();
  });
});

test('members are found by e-mail, in the requested order, and only in that circle', async () => {
  const { db } = await openTestDatabase();
  await db.transaction().execute(async (tx) => {
    const [ann, bob, eve] = [
      await createUser(tx, 'ann'),
      await createUser(tx, 'bob'),
      await createUser(tx, 'eve'),
    ];
    const [circle, other] = [await circles.insert(tx, 'A'), await circles.insert(tx, 'B')];
    for (const user of [ann, bob]) {
      await circles.insertMembership(tx, { circleId: circle.id, userId: user.id, role: 'MEMBER' });
    }
    await circles.insertMembership(tx, { circleId: other.id, userId: eve.id, role: 'ADMIN' });
    const emails = ['BOB@example.com', 'eve@example.com', 'ann@example.com', 'bob@example.com', 'x'];
    const found = await users.findMembersByEmails(tx, circle.id, emails);
    expect(found).toEqual([bob, undefined, ann, bob, undefined]);
    expect(await users.findMembersByEmails(tx, circle.id, [])).toEqual([]);
  });
});

test('thousands of ids take one statement with one parameter', async () => {
  const { db } = await openTestDatabase();
  const ann = await db.transaction().execute((tx) => createUser(tx, 'ann'));
  const ids = Array.from({ length: 100_000 }, (_, index) => (index + 1) as UserId);
  expect(await findUsersWithPresence(db, ids)).toEqual([{ ...ann, online: false }]);
  expect(await findUsersWithPresence(db, [])).toEqual([]);
});
