import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { io } from 'socket.io-client';
import { findFreePort } from '../test/harness/ports.ts';
import { waitForOutput } from '../test/harness/program.ts';
import { startRedis } from '../test/harness/redis.ts';
import { startBalancer } from './balancer.ts';
import type { BalancedNode } from './balancer.ts';
import { waitUntilBack } from './crowd.ts';
import { createDeliveryLog } from './delivery-log.ts';
import type { FaultCounts, StoredMessage } from './delivery-log.ts';
import { Movements } from './movements.ts';
import { DELAY_MS, rollAll } from './rolling.ts';
import type { Roll, RollingNode, RollingOptions } from './rolling.ts';

const FOLDER = join(import.meta.dirname, 'peers', 'socket-io');
const NODES = 2;
const SEND_PAUSE_MS = 1_000;
const CONNECTS_PER_SECOND = 250;
/** Time after the last message until everything that will arrive has arrived. */
const SETTLE_MS = 5_000;

/** Restarts two stock Socket.IO servers with connection state recovery in the same way, with clients over WebSocket. */
export async function runStockSocketIo({
  clients,
  rounds,
}: RollingOptions): Promise<FaultCounts & { readonly rolls: readonly Roll[] }> {
  if (!existsSync(join(FOLDER, 'node_modules')))
    spawnSync('npm', ['ci'], { cwd: FOLDER, stdio: ['ignore', 'ignore', 'inherit'] });
  await using stack = new AsyncDisposableStack();
  const redis = stack.use(await startRedis());
  const nodes: (RollingNode & BalancedNode & AsyncDisposable)[] = [];
  for (let index = 0; index < NODES; index += 1) nodes.push(stack.use(await startStockNode(redis.url)));
  const { url } = stack.use(await startBalancer(nodes));
  const movements = new Movements();
  const deliveryLog = createDeliveryLog();
  const connect = () => io(url, { forceNew: true, transports: ['websocket'] });
  for (let client = 0; client < clients; client += 1) {
    const received = deliveryLog.addReader(`client ${client}`);
    movements.lost(received);
    const socket = connect();
    stack.defer(() => void socket.close());
    socket.on('connect', () => movements.back(received));
    socket.on('disconnect', () => movements.lost(received));
    socket.on('message', (id: number) => received.add(id, ''));
    await pause(1_000 / CONNECTS_PER_SECOND);
  }
  await waitUntilBack(movements);
  movements.take(0);
  const stored: StoredMessage[] = [];
  const sender = connect();
  stack.defer(() => void sender.close());
  let newestId = 0;
  const timer = setInterval(() => {
    if (!sender.connected) return;
    const id = (newestId += 1);
    sender.emit('send', id, () => stored.push({ id, text: String(id) }));
  }, SEND_PAUSE_MS);
  stack.defer(() => clearInterval(timer));
  const rolls = await rollAll(nodes, rounds, movements);
  clearInterval(timer);
  await pause(SETTLE_MS);
  return { rolls, ...deliveryLog.countFaults(stored), acknowledged: stored.length };
}

async function startStockNode(redisUrl: string) {
  const port = await findFreePort();
  let child: ChildProcess | undefined;
  const start = async (): Promise<void> => {
    child = spawn(process.execPath, ['server.mjs'], {
      cwd: FOLDER,
      env: { PORT: String(port), REDIS_URL: redisUrl, DELAY_MS: String(DELAY_MS) },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await waitForOutput(child, /listening/);
  };
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
  };
  await start();
  return {
    name: `port-${port}`,
    address: `127.0.0.1:${port}`,
    start,
    stop: () => end('SIGTERM'),
    [Symbol.asyncDispose]: () => end('SIGKILL'),
  };
}
