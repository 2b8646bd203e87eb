import { execFileSync } from 'node:child_process';
import { registerHooks } from 'node:module';

// Runs the k6 script on Node: a program with the arguments URL and seconds. k6 is not installed here. It prints the metrics
// as JSON. What the script uses of k6 is below, by the names of k6's modules; everything else would fail.

const SUBSCRIBERS = 4;
const MESSAGES = 6;

const metrics: Record<string, unknown[]> = {};

class Metric {
  readonly #values: unknown[] = [];
  constructor(name: string) {
    metrics[name] = this.#values;
  }
  add(value: unknown): void {
    this.#values.push(value);
  }
}

const checks = new Metric('checks');
const execution = { vu: { idInTest: 0 }, scenario: { iterationInTest: 0 } };

/** Sends a request synchronously, as k6 does. */
function post(url: string, body: string, { headers }: { headers: Record<string, string> }) {
  const script = `fetch(process.argv[1], { method: 'POST', body: process.argv[2], headers: JSON.parse(process.argv[3]) })
    .then(async (response) => console.log(JSON.stringify({ status: response.status, body: await response.text() })))`;
  const output = execFileSync(
    process.execPath,
    ['--eval', script, '--', url, body, JSON.stringify(headers)],
    {
      encoding: 'utf8',
    },
  );
  return JSON.parse(output) as { status: number; body: string };
}

let liveSubscribers = 0;

/** Sends messages once all subscribers are live. */
function onLive(): void {
  liveSubscribers += 1;
  if (liveSubscribers < SUBSCRIBERS) return;
  for (; execution.scenario.iterationInTest < MESSAGES; execution.scenario.iterationInTest += 1)
    script.sendMessage(conversations);
}

/** The subprotocol is a header in k6. */
class K6WebSocket extends WebSocket {
  constructor(address: string, _protocols: null, { headers }: { headers: Record<string, string> }) {
    super(address, headers['Sec-WebSocket-Protocol'] ?? []);
    this.addEventListener('message', ({ data }) => {
      if (String(data).includes('StreamLive')) onLive();
    });
  }
}

const MODULES: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  k6: {
    check: (value: unknown, tests: Record<string, (value: unknown) => boolean>) =>
      Object.values(tests).forEach((test) => checks.add(test(value))),
  },
  'k6/execution': { default: execution },
  'k6/http': { default: { post } },
  'k6/metrics': { Counter: Metric, Rate: Metric, Trend: Metric },
  'k6/timers': { setTimeout },
  'k6/websockets': { WebSocket: K6WebSocket },
};

const [url = '', seconds = ''] = process.argv.slice(2);
Object.assign(globalThis, {
  k6Modules: MODULES,
  __ENV: { URL: url, SECONDS: seconds, CONVERSATIONS: '2', SUBSCRIBERS: String(SUBSCRIBERS) },
});
registerHooks({
  resolve: (specifier, context, next) =>
    specifier in MODULES ? { url: `k6:${specifier}`, shortCircuit: true } : next(specifier, context),
  load: (address, context, next) => {
    const [, name] = /^k6:(.*)$/.exec(address) ?? [];
    if (name === undefined) return next(address, context);
    const names = Object.keys(MODULES[name] ?? {});
    const source = names.map((key) =>
      key === 'default'
        ? `export default k6Modules['${name}'].default;`
        : `export const ${key} = k6Modules['${name}'].${key};`,
    );
    return { format: 'module', source: source.join('\n'), shortCircuit: true };
  },
});

interface Script {
  readonly options: { readonly scenarios: Readonly<Record<string, { exec: string }>> };
  setup(): readonly object[];
  subscribe(conversations: readonly object[]): void;
  sendMessage(conversations: readonly object[]): void;
}

const path: string = '../../deploy/k6/parley.js';
const script = (await import(path)) as Script;
const conversations = script.setup();
for (execution.vu.idInTest = 1; execution.vu.idInTest <= SUBSCRIBERS; execution.vu.idInTest += 1)
  script.subscribe(conversations);
process.once('beforeExit', () => console.log(JSON.stringify(metrics)));
