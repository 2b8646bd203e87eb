import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { expect, test } from 'vitest';
import type { Session } from '../../src/actor.ts';
import { unauthenticated } from '../../src/errors.ts';
import { createIdentifyRequest } from '../../src/gateway/http/request-identity.ts';
import type { UserId } from '../../src/ids.ts';
import { startLoggedApp } from '../harness/logged-app.ts';

const SESSION: Session = {
  actor: { kind: 'user', id: 7 as UserId },
  tokenId: 'token',
  issuedAt: null,
  expiresAt: Infinity,
};

test('a request with a large body is authenticated once', async () => {
  await using app = await startLoggedApp();
  const response = await fetch(`${app.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: 'Bearer wrong' },
    body: JSON.stringify({ query: `{ __typename } #${'x'.repeat(20_000)}` }),
  });
  expect(await response.json()).toEqual({ data: { __typename: 'Query' } });
  // Writes a second line, with the number of repetitions, if there were any.
  await app[Symbol.asyncDispose]();
  expect(app.lines({ event: 'token refused' })).toHaveLength(1);
});

test('a request whose body takes long, or whose check has failed, is authenticated again', async () => {
  let nowMs = 0;
  let result: () => Promise<Session> = async () => SESSION;
  let checks = 0;
  const ports = {
    addressOf: () => '127.0.0.1',
    connectionSlots: { identify: () => undefined },
    authenticate: () => {
      checks += 1;
      return result();
    },
  };
  const identifyRequest = createIdentifyRequest(
    ports as unknown as Parameters<typeof createIdentifyRequest>[0],
    () => nowMs,
  );
  const request = new IncomingMessage(new Socket());
  request.url = '/graphql?token=abc';
  expect(await identifyRequest(request)).toMatchObject({ session: SESSION });
  result = () => Promise.reject(unauthenticated());
  nowMs = 1_000;
  expect([await identifyRequest(request), checks]).toMatchObject([{ session: SESSION }, 1]);
  nowMs = 1_001;
  expect(await identifyRequest(request)).toMatchObject({ tokenProblem: unauthenticated().message });
  const outage = new Error('no connection');
  result = () => Promise.reject(outage);
  nowMs = 3_000;
  await expect(identifyRequest(request)).rejects.toBe(outage);
  result = async () => SESSION;
  expect([await identifyRequest(request), checks]).toMatchObject([{ session: SESSION }, 4]);
});
