import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient } from '@redis/client';
import { expect, vi } from 'vitest';
import { findFreePort } from './ports.ts';
import { waitForOutput } from './program.ts';
import { requireProgram } from './installed-programs.ts';

/** A Redis server of one test. It keeps its port of 127.0.0.1 over restarts. */
export interface RedisServer extends AsyncDisposable {
  readonly url: string;
  stop(): Promise<void>;
  start(): Promise<void>;
  /** Stops the process without closing its connections, until `resume`. */
  suspend(): void;
  resume(): void;
}

export async function startRedis(): Promise<RedisServer> {
  const port = await findFreePort();
  let process: ChildProcess | undefined;
  const stop = async (): Promise<void> => {
    if (process === undefined) return;
    const exited = once(process, 'exit');
    // Ends a suspended process, too.
    process.kill('SIGKILL');
    process = undefined;
    await exited;
  };
  const start = async (): Promise<void> => {
    const started = spawn(requireProgram('redis-server'), [
      '--port',
      String(port),
      '--bind',
      '127.0.0.1',
      '--save',
      '',
      '--appendonly',
      'no',
    ]);
    process = started;
    await waitForOutput(started, /Ready to accept connections/);
  };
  await start();
  return {
    url: `redis://127.0.0.1:${port}`,
    stop,
    start,
    suspend: () => void process?.kill('SIGSTOP'),
    resume: () => void process?.kill('SIGCONT'),
    [Symbol.asyncDispose]: stop,
  };
}

/** A Redis Cluster of two servers on 127.0.0.1, each with half of the slots. */
export interface RedisCluster extends AsyncDisposable {
  /** The URL of the first server. */
  readonly url: string;
  /** Kills the second server. */
  killSecond(): Promise<void>;
}

export async function startRedisCluster(): Promise<RedisCluster> {
  await using stack = new AsyncDisposableStack();
  const dir = await mkdtemp(join(tmpdir(), 'parley-redis-'));
  stack.defer(() => rm(dir, { recursive: true }));
  const startServer = async (name: string) => {
    const [port, busPort] = [await findFreePort(), await findFreePort()];
    const settings = {
      port,
      dir,
      bind: '127.0.0.1',
      save: '',
      'cluster-enabled': 'yes',
      'cluster-config-file': `${name}.conf`,
      'cluster-port': busPort,
      'cluster-node-timeout': 1_000,
    };
    const server = spawn(
      requireProgram('redis-server'),
      Object.entries(settings).flatMap(([key, value]) => [`--${key}`, String(value)]),
    );
    const exited = once(server, 'exit');
    stack.defer(async () => {
      server.kill('SIGKILL');
      await exited;
    });
    await waitForOutput(server, /Ready to accept connections/);
    const client = createClient({ url: `redis://127.0.0.1:${port}` });
    await client.connect();
    return { port, busPort, server, exited, client };
  };
  const first = await startServer('first');
  const second = await startServer('second');
  await first.client.clusterAddSlotsRange({ start: 0, end: 8_191 });
  await second.client.clusterAddSlotsRange({ start: 8_192, end: 16_383 });
  const [port, busPort] = [String(second.port), String(second.busPort)];
  await first.client.sendCommand(['CLUSTER', 'MEET', '127.0.0.1', port, busPort]);
  for (const server of [first, second]) {
    await vi.waitFor(
      async () => {
        const info = await server.client.clusterInfo();
        expect(info).toContain('cluster_state:ok');
        expect(info).toContain('cluster_known_nodes:2');
      },
      { timeout: 20_000, interval: 50 },
    );
  }
  for (const { client } of [first, second]) client.destroy();
  const owned = stack.move();
  return {
    url: `redis://127.0.0.1:${first.port}`,
    async killSecond() {
      second.server.kill('SIGKILL');
      await second.exited;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
