import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { requireProgram } from './installed-programs.ts';
import { findFreePort, waitForPort } from './ports.ts';

/** A series of the result of a query. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  /** NaN if the query divides nothing by nothing, as a quantile without observations does. */
  readonly value: number;
}

/** A Prometheus server on 127.0.0.1. */
export interface Prometheus extends AsyncDisposable {
  /** Evaluates a query now. */
  query(expression: string): Promise<readonly Sample[]>;
  /** Returns the values of a label in the series of a selector, sorted: `label_values(…)` of Grafana. */
  readLabelValues(selector: string, label: string): Promise<readonly string[]>;
}

/** Starts Prometheus with a configuration in JSON, which is YAML, too. */
export async function startPrometheus(config: object): Promise<Prometheus> {
  const folder = await mkdtemp(join(tmpdir(), 'parley-prometheus-'));
  const port = await findFreePort();
  const file = join(folder, 'prometheus.yml');
  await writeFile(file, JSON.stringify(config));
  const options = [
    `--config.file=${file}`,
    `--storage.tsdb.path=${join(folder, 'data')}`,
    `--web.listen-address=127.0.0.1:${port}`,
  ];
  const child = spawn(requireProgram('prometheus'), options, { stdio: 'ignore' });
  const exited = once(child, 'exit');
  await waitForPort(port);
  const read = async <Data>(path: string, parameters: Record<string, string>): Promise<Data> => {
    const url = `http://127.0.0.1:${port}/api/v1/${path}?${new URLSearchParams(parameters).toString()}`;
    const body = (await (await fetch(url)).json()) as { data: Data; error?: string };
    if (body.error !== undefined) throw new Error(`${body.error} of ${JSON.stringify(parameters)}`);
    return body.data;
  };
  return {
    async query(query) {
      const { result } = await read<{
        result: { metric: Record<string, string>; value: [time: number, value: string] }[];
      }>('query', { query });
      return result.map(({ metric, value }) => ({ labels: metric, value: Number(value[1]) }));
    },
    readLabelValues: (selector, label) => read(`label/${label}/values`, { 'match[]': selector }),
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await exited;
      await rm(folder, { recursive: true });
    },
  };
}
