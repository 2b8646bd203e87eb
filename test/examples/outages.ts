import { expect } from 'vitest';
import { startServer } from '../harness/server.ts';
import { runExample } from './program.ts';
import type { Command } from './program.ts';
import { logIn, openWriter, sendMessage } from '../harness/demo-server.ts';

/** Number of outages for each example. Set OUTAGES for longer manual runs. */
const OUTAGES = Number(process.env.OUTAGES ?? 4);

/** Printed by an example once it is subscribed. A Socket.IO client prints the reply to `join_conversation`. */
const READY = /^StreamLive$|^success .*conversation_1$/;

/** Timeout for all outages of several examples. */
export const OUTAGES_TIMEOUT_MS = 120_000 + OUTAGES * 30_000;
/** Timeout for every example to reach the next state. Default backoffs take up to half of it. */
const STATE_TIMEOUT_MS = 60_000;

/** Returns the texts of the lines `MessageSent <text>`, which each example prints. */
const readTexts = (lines: readonly string[]): string[] =>
  lines.filter((line) => line.startsWith('MessageSent ')).map((line) => line.slice('MessageSent '.length));

export interface Example {
  readonly file: string;
  readonly command?: Command | undefined;
}

export interface Outcome {
  /** The lines that the example printed. */
  readonly lines: readonly string[];
  /** Expects every message once and in order, no warnings, and a running example. */
  expectEachOnce(): void;
}

type Condition = (lines: readonly string[]) => boolean;

/** Starts the examples, and returns a function that waits for all of them. A failed example does not delay the others. */
function startAll(examples: readonly Example[], url: string, stack: AsyncDisposableStack) {
  const programs = examples.map(({ file, command }) => ({
    file,
    program: stack.use(runExample(file, url, {}, command)),
  }));
  const waitForAll = (condition: Condition): Promise<unknown> =>
    Promise.allSettled(programs.map(({ program }) => program.waitUntil(condition, STATE_TIMEOUT_MS)));
  return { programs, waitForAll };
}

/**
 * Runs examples that resume, while messages are sent continuously and their shared server is alternately stopped and
 * killed. Returns the outcome of each example by file.
 */
export async function runThroughOutages(examples: readonly Example[]): Promise<ReadonlyMap<string, Outcome>> {
  await using server = await startServer();
  await using stack = new AsyncDisposableStack();
  const { programs, waitForAll } = startAll(examples, server.url, stack);
  await waitForAll((lines) => lines.some((line) => READY.test(line)));
  const writer = openWriter(server.url, await logIn(server.url));
  for (let outage = 0; outage < OUTAGES; outage += 1) {
    const newest = `n${writer.sent.length + 10}`;
    await waitForAll((lines) => readTexts(lines).includes(newest));
    await server.stop(outage % 2 === 0 ? 'SIGTERM' : 'SIGKILL');
    await server.start();
  }
  const sent = await writer.stop();
  await waitForAll((lines) => readTexts(lines).includes(sent.at(-1) ?? ''));
  const outcomes = programs.map(({ file, program }): [string, Outcome] => {
    const lines = [...program.lines];
    const errors = program.errors();
    const isRunning = program.isRunning();
    const expectEachOnce = (): void => {
      expect(errors).toBe('');
      expect(isRunning).toBe(true);
      expect(readTexts(lines)).toEqual(sent);
    };
    return [file, { lines, expectEachOnce }];
  });
  return new Map(outcomes);
}

/** The texts that an example without a cursor receives: those sent while it is subscribed. */
export const STOCK_TEXTS = ['before SIGTERM', 'before SIGKILL', 'after all'] as const;

/**
 * Runs examples without a cursor through a stop and a kill of their shared server. After each, messages are sent once all
 * examples have resubscribed. Returns the texts and warnings of each example by file.
 */
export async function runStockThroughOutages(
  examples: readonly Example[],
): Promise<ReadonlyMap<string, { readonly texts: readonly string[]; readonly errors: string }>> {
  await using server = await startServer();
  const token = await logIn(server.url);
  await using stack = new AsyncDisposableStack();
  const { programs, waitForAll } = startAll(examples, server.url, stack);
  for (const [round, text] of STOCK_TEXTS.entries()) {
    await waitForAll((lines) => lines.filter((line) => line === 'StreamLive').length === round + 1);
    await sendMessage(server.url, token, text);
    await waitForAll((lines) => lines.at(-1) === `MessageSent ${text}`);
    if (text === 'after all') break;
    await server.stop(text === 'before SIGTERM' ? 'SIGTERM' : 'SIGKILL');
    await server.start();
  }
  return new Map(
    programs.map(({ file, program }) => [
      file,
      { texts: readTexts(program.lines), errors: program.errors() },
    ]),
  );
}
