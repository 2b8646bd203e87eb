import { expect } from 'vitest';
import { startServer } from '../harness/server.ts';
import { runExample } from './program.ts';
import type { Command } from './program.ts';
import { logIn, openWriter, sendMessage } from './writer.ts';

/** Outages that each example goes through; set OUTAGES for longer runs by hand. */
const OUTAGES = Number(process.env.OUTAGES ?? 4);

/** An example prints this once it listens: a Socket.IO client prints the reply to `join_conversation`. */
const READY = /^StreamLive$|^success .*conversation_1$/;

/** Time for several examples to go through all outages. */
export const OUTAGES_TIMEOUT_MS = 120_000 + OUTAGES * 30_000;
/** Time for every example to reach the next state. Reconnecting with stock backoff takes up to half of it. */
const STATE_TIMEOUT_MS = 60_000;

/** Each example prints a line `MessageSent <text>` for each message. */
const textsOf = (lines: readonly string[]): string[] =>
  lines.filter((line) => line.startsWith('MessageSent ')).map((line) => line.slice('MessageSent '.length));

export interface Example {
  readonly file: string;
  readonly command?: Command | undefined;
}

export interface Outcome {
  /** Everything the example printed. */
  readonly lines: readonly string[];
  /** Every message was printed once and in order, there were no warnings, and the example is still running. */
  expectEachOnce(): void;
}

type Condition = (lines: readonly string[]) => boolean;

/** Starts the examples, and returns them with a wait for all. An example that fails does not keep the others waiting. */
function startAll(examples: readonly Example[], url: string, stack: AsyncDisposableStack) {
  const running = examples.map(({ file, command }) => ({
    file,
    program: stack.use(runExample(file, url, {}, command)),
  }));
  const allUntil = (isTrue: Condition): Promise<unknown> =>
    Promise.allSettled(running.map(({ program }) => program.until(isTrue, STATE_TIMEOUT_MS)));
  return { running, allUntil };
}

/**
 * Runs examples that resume, while their server is stopped and killed in turns and messages are sent all the time.
 * They share the server, as outages take time. Returns each example's outcome by file.
 */
export async function runThroughOutages(examples: readonly Example[]): Promise<ReadonlyMap<string, Outcome>> {
  await using server = await startServer();
  await using stack = new AsyncDisposableStack();
  const { running, allUntil } = startAll(examples, server.url, stack);
  await allUntil((lines) => lines.some((line) => READY.test(line)));
  const writer = openWriter(server.url, await logIn(server.url));
  for (let outage = 0; outage < OUTAGES; outage += 1) {
    const newest = `n${writer.sent.length + 10}`;
    await allUntil((lines) => textsOf(lines).includes(newest));
    await server.stop(outage % 2 === 0 ? 'SIGTERM' : 'SIGKILL');
    await server.start();
  }
  const sent = await writer.stop();
  await allUntil((lines) => textsOf(lines).includes(sent.at(-1) ?? ''));
  const outcomes = running.map(({ file, program }): [string, Outcome] => {
    const lines = [...program.lines];
    const errors = program.errors();
    const isRunning = program.isRunning();
    const expectEachOnce = (): void => {
      expect(errors).toBe('');
      expect(isRunning).toBe(true);
      expect(textsOf(lines)).toEqual(sent);
    };
    return [file, { lines, expectEachOnce }];
  });
  return new Map(outcomes);
}

/** What an example without a cursor prints: it misses what is sent during an outage, and nothing else. */
export const STOCK_TEXTS = ['before SIGTERM', 'before SIGKILL', 'after all'] as const;

/**
 * Runs examples that keep no cursor through a stop and a kill of the server they share. After each, messages are sent
 * once all have subscribed again. Returns the lines and the warnings of each example by file.
 */
export async function runStockThroughOutages(
  examples: readonly Example[],
): Promise<ReadonlyMap<string, { readonly texts: readonly string[]; readonly errors: string }>> {
  await using server = await startServer();
  const token = await logIn(server.url);
  await using stack = new AsyncDisposableStack();
  const { running, allUntil } = startAll(examples, server.url, stack);
  for (const [round, text] of STOCK_TEXTS.entries()) {
    await allUntil((lines) => lines.filter((line) => line === 'StreamLive').length === round + 1);
    await sendMessage(server.url, token, text);
    await allUntil((lines) => lines.at(-1) === `MessageSent ${text}`);
    if (text === 'after all') break;
    await server.stop(text === 'before SIGTERM' ? 'SIGTERM' : 'SIGKILL');
    await server.start();
  }
  return new Map(
    running.map(({ file, program }) => [file, { texts: textsOf(program.lines), errors: program.errors() }]),
  );
}
